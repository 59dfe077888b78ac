// The little of the X11 protocol that asking a window to close takes, as a window manager does it: there is none
// under Xvfb, and WebDriver's own way to close a window kills the app.
import { once } from "node:events";
import { connect } from "node:net";

const ANSWER_MS = 10_000;
const OPCODE = { getWindowAttributes: 3, queryTree: 15, internAtom: 16, getProperty: 20, sendEvent: 25 };
const CLIENT_MESSAGE = 33;
const VIEWABLE = 2;

/** Sends `WM_DELETE_WINDOW` to the window of process `pid` on the display in `DISPLAY`. */
export async function askToClose(pid, display = process.env.DISPLAY) {
  const number = /^:(\d+)(\.\d+)?$/.exec(display ?? "")?.[1];
  if (!number) throw new Error(`DISPLAY is not of this machine: ${display}`);
  const server = await Server.connect(`/tmp/.X11-unix/X${number}`);
  try {
    const [protocols, close, owner] = await Promise.all(
      ["WM_PROTOCOLS", "WM_DELETE_WINDOW", "_NET_WM_PID"].map((name) => server.atom(name)),
    );
    const window = await server.find(async (window) => {
      const [pids, known, visible] = await Promise.all([
        server.property(window, owner),
        server.property(window, protocols),
        server.visible(window),
      ]);
      return pids.includes(pid) && known.includes(close) && visible;
    });
    if (!window) throw new Error(`process ${pid} has no window that can be asked to close`);
    server.send(window, protocols, close);
    // An answer means that what was sent before has been read.
    await server.atom("WM_PROTOCOLS");
  } finally {
    server.end();
  }
}

class Server {
  #socket;
  #unread = Buffer.alloc(0);
  #waiting = [];
  #root;

  static async connect(path) {
    const server = new Server();
    server.#socket = connect(path);
    await once(server.#socket, "connect", { signal: AbortSignal.timeout(ANSWER_MS) });
    await server.#greet();
    return server;
  }

  async #greet() {
    const hello = Buffer.alloc(12);
    hello.write("l");
    hello.writeUInt16LE(11, 2);
    const greeting = new Promise((resolve, reject) => {
      this.#socket.once("close", () => reject(new Error("the X server ended the connection")));
      this.#socket.setTimeout(ANSWER_MS, () =>
        this.#socket.destroy(new Error("the X server does not answer")),
      );
      this.#socket.on("error", reject);
      this.#socket.on("data", (data) => {
        this.#unread = Buffer.concat([this.#unread, data]);
        if (this.#root === undefined) this.#welcome(resolve, reject);
        else this.#answers();
      });
    });
    this.#socket.write(hello);
    await greeting;
    this.#socket.on("close", () => {
      for (const { reject } of this.#waiting) reject(new Error("the X server ended the connection"));
    });
  }

  #welcome(resolve, reject) {
    const data = this.#unread;
    if (data.length < 8 || data.length < 8 + 4 * data.readUInt16LE(6)) return;
    if (data[0] !== 1) return reject(new Error("the X server wants an authorisation"));
    // After the fixed part come the vendor's name, padded, 8 bytes for each format, and the screens.
    this.#root = data.readUInt32LE(40 + padded(data.readUInt16LE(24)) + 8 * data[29]);
    this.#unread = data.subarray(8 + 4 * data.readUInt16LE(6));
    resolve();
  }

  /** Answers come in the order of the requests. Events, 32 bytes each, are not asked for and not looked at. */
  #answers() {
    while (this.#unread.length >= 32) {
      const kind = this.#unread[0];
      const size = kind === 1 ? 32 + 4 * this.#unread.readUInt32LE(4) : 32;
      if (this.#unread.length < size) return;
      const answer = this.#unread.subarray(0, size);
      this.#unread = this.#unread.subarray(size);
      if (kind === 1) this.#waiting.shift()?.resolve(answer);
      // A window that has just gone.
      if (kind === 0) this.#waiting.shift()?.resolve(null);
    }
  }

  #ask(opcode, option, body) {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#request(opcode, option, body);
    });
  }

  #request(opcode, option, body) {
    const head = Buffer.from([opcode, option, 0, 0]);
    head.writeUInt16LE(1 + body.length / 4, 2);
    this.#socket.write(Buffer.concat([head, body]));
  }

  async atom(name) {
    const body = Buffer.alloc(4 + padded(name.length));
    body.writeUInt16LE(name.length);
    body.write(name, 4);
    return (await this.#ask(OPCODE.internAtom, 0, body)).readUInt32LE(8);
  }

  /** The numbers in a property of 32-bit values; none if the window lacks it. */
  async property(window, name) {
    const answer = await this.#ask(OPCODE.getProperty, 0, words(window, name, 0, 0, 64));
    return answer?.[1] === 32 ? list(answer, answer.readUInt32LE(16)) : [];
  }

  /** Toolkits have windows that nobody sees, too. */
  async visible(window) {
    const answer = await this.#ask(OPCODE.getWindowAttributes, 0, words(window));
    return answer?.[26] === VIEWABLE;
  }

  /** The first window, from the root on downwards, for which `wanted` resolves to true. */
  async find(wanted, window = this.#root) {
    if (await wanted(window)) return window;
    const answer = await this.#ask(OPCODE.queryTree, 0, words(window));
    for (const child of answer ? list(answer, answer.readUInt16LE(16)) : []) {
      const found = await this.find(wanted, child);
      if (found) return found;
    }
    return undefined;
  }

  send(window, type, value) {
    const event = words(0, window, type, value, 0, 0, 0, 0);
    event[0] = CLIENT_MESSAGE;
    event[1] = 32;
    this.#request(OPCODE.sendEvent, 0, Buffer.concat([words(window, 0), event]));
  }

  end() {
    this.#socket.destroy();
  }
}

const padded = (length) => Math.ceil(length / 4) * 4;

function words(...values) {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, i) => bytes.writeUInt32LE(value, 4 * i));
  return bytes;
}

const list = (answer, count) => Array.from({ length: count }, (_, i) => answer.readUInt32LE(32 + 4 * i));
