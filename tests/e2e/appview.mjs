// The development appview as a process, and a door before it that can be shut.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { createInterface } from "node:readline";
import { onExit } from "./children.mjs";

/** One run of the appview. Its records live and die with it. */
export class Appview {
  static async start(binary, args = []) {
    const child = spawn(binary, ["--port", "0", ...args], {
      stdio: ["ignore", "pipe", "inherit"],
      detached: true,
    });
    const stop = onExit(child);
    const lines = createInterface({ input: child.stdout });
    const [line] = await Promise.race([
      once(lines, "line", { signal: AbortSignal.timeout(20_000) }),
      once(child, "exit").then(([code]) => {
        throw new Error(`the appview ended before it was ready (${code})`);
      }),
    ]);
    return new Appview(JSON.parse(line).url, stop);
  }

  constructor(url, stop) {
    this.url = url;
    this.port = Number(new URL(url).port);
    this.stop = stop;
  }

  /** `POST /control/<call>`. */
  async control(call, body) {
    const answer = await fetch(`${this.url}/control/${call}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`control call ${call}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : null;
  }

  /** Open connections, connects so far. */
  async stats() {
    const answer = await fetch(`${this.url}/control/stats`);
    if (!answer.ok) throw new Error(`stats: ${answer.status}`);
    return answer.json();
  }
}

/** A fixed address for appviews that come and go: it passes bytes on, and refuses connections while shut. */
export class Door {
  #sockets = new Set();
  #server = null;
  #port = 0;

  get url() {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Lets connections through to `port`, at the same address as before. */
  async open(port) {
    await this.shut();
    this.#server = createServer((near) => this.#join(near, connect(port, "127.0.0.1")));
    this.#server.listen(this.#port, "127.0.0.1");
    await once(this.#server, "listening");
    this.#port = this.#server.address().port;
  }

  /** Cuts every connection and refuses new ones. */
  async shut() {
    if (!this.#server) return;
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#sockets.forEach((socket) => socket.destroy());
    await closed;
    this.#server = null;
  }

  #join(near, far) {
    for (const [from, to] of [
      [near, far],
      [far, near],
    ]) {
      this.#sockets.add(from);
      // An error is always followed by a close.
      from.on("error", () => {});
      from.on("close", () => {
        this.#sockets.delete(from);
        to.destroy();
      });
      from.pipe(to);
    }
  }
}
