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

/**
 * A fixed address for appviews that come and go: it passes bytes on. It can be shut, or closed to newcomers only, who
 * are then refused or have to wait, while those who are in go on.
 */
export class Door {
  #sockets = new Set();
  #server = null;
  #port = 0;
  #appview = 0;
  /** Who waits to get in; `null` if nobody has to. */
  #queue = null;

  get url() {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Lets connections through to `port`, at the same address as before. */
  async open(port) {
    await this.shut();
    this.#appview = port;
    await this.unlock();
  }

  /** Cuts every connection and refuses new ones. */
  async shut() {
    const closed = this.#server && once(this.#server, "close");
    this.lock();
    this.#sockets.forEach((socket) => socket.destroy());
    await closed;
  }

  /** Refuses new connections, and those that wait. */
  lock() {
    this.#server?.close();
    this.#server = null;
    this.#queue?.forEach((near) => near.destroy());
    this.#queue = null;
  }

  /** Ends what `lock` began. */
  async unlock() {
    this.#server = createServer((near) => this.#come(near));
    this.#server.listen(this.#port, "127.0.0.1");
    await once(this.#server, "listening");
    this.#port = this.#server.address().port;
  }

  /** Lets new connections wait. */
  hold() {
    this.#queue ??= [];
  }

  /** Ends what `hold` began. */
  release() {
    const waiting = this.#queue ?? [];
    this.#queue = null;
    for (const near of waiting) if (!near.destroyed) this.#join(near);
  }

  #come(near) {
    this.#keep(near);
    if (this.#queue) this.#queue.push(near);
    else this.#join(near);
  }

  #join(near) {
    const far = connect(this.#appview, "127.0.0.1");
    this.#keep(far);
    near.on("close", () => far.destroy());
    far.on("close", () => near.destroy());
    near.pipe(far).pipe(near);
  }

  #keep(socket) {
    this.#sockets.add(socket);
    // An error is always followed by a close.
    socket.on("error", () => {});
    socket.on("close", () => this.#sockets.delete(socket));
  }
}
