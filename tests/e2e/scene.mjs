// What the end-to-end tests have in common: a space on a real appview behind a door, and the chat in a window on it.
// Takes the programs from E2E_APPVIEW and E2E_CHAT, pictures of failures go to E2E_ARTIFACTS. The app's files are in
// a folder of the scene's own, its tickets in the keyring of the session, where there is one.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { Appview, Door } from "./appview.mjs";
import { Window } from "./webdriver.mjs";

export const TARGET = join(import.meta.dirname, "../../target");
const CHAT = process.env.E2E_CHAT ?? join(TARGET, "debug/chat");
export const APPVIEW = process.env.E2E_APPVIEW ?? join(TARGET, "debug/contrail-dev-appview");
/** Where pictures of failures go. */
export const ARTIFACTS = process.env.E2E_ARTIFACTS ?? join(TARGET, "e2e");

export const [ALICE, BOB, CAROL] = ["did:plc:alice", "did:plc:bob", "did:plc:carol"];
/** A failed connect is tried again within 30 s. */
export const RECONNECT_MS = 40_000;
const HOUR_MS = 3_600_000;

/** An environment in which an app's files are all in `folder`. */
export function homes(folder) {
  const own = (name) => join(folder, name);
  return {
    HOME: own("home"),
    XDG_DATA_HOME: own("data"),
    XDG_CONFIG_HOME: own("config"),
    XDG_CACHE_HOME: own("cache"),
  };
}

/** Messages are [rkey, author, text]. Those of a space, or public ones, on a server that has lists only. */
export class Scene {
  door = new Door();
  isPublic = false;
  /** What the app has written to stderr since it was opened. */
  log = "";
  /** The URIs of further rooms. */
  rooms = [];
  #start;
  /** When each record was written for the first time, as its body says. */
  #times = new Map();

  /** A space with these messages in it, oldest first. The number in an rkey is the minute since `start`, an hour ago. */
  static async set(messages, { isPublic = false, start = Date.now() - HOUR_MS } = {}) {
    const scene = new Scene();
    scene.isPublic = isPublic;
    scene.#start = start;
    scene.date(messages);
    scene.folder = await mkdtemp(join(tmpdir(), "contrail-e2e-"));
    await writeFile(join(scene.folder, "secret"), randomBytes(32));
    await scene.serve(messages);
    return scene;
  }

  /** These messages are going to be written at the minutes that their rkeys say, not when it happens. */
  date(messages) {
    for (const [rkey] of messages) this.#times.set(rkey, this.#start + 60_000 * Number(rkey.slice(1)));
  }

  /** An appview with the space and these messages in it, behind the door. */
  async serve(messages) {
    const lists = this.isPublic ? ["--contrail", "0.19"] : [];
    const next = await Appview.start(APPVIEW, ["--secret-file", join(this.folder, "secret"), ...lists]);
    if (!this.isPublic) {
      ({ uri: this.space } = await next.control("space", { key: "trail-talk", owner: ALICE }));
      for (const did of [BOB, CAROL]) await next.control("addMember", { spaceUri: this.space, did });
    }
    this.appview = next;
    for (const message of messages) await this.put(...message);
    await this.door.open(next.port);
  }

  /** Another room beside the space, with these messages in it; its URI. For the next time that the chat is opened. */
  async addRoom(key, messages) {
    const { uri } = await this.appview.control("space", { key, owner: ALICE });
    for (const did of [BOB, CAROL]) await this.appview.control("addMember", { spaceUri: uri, did });
    this.date(messages);
    for (const [rkey, did, text, reply] of messages) await this.put(rkey, did, text, reply, uri);
    this.rooms.push(uri);
    return uri;
  }

  /** The appview ends, and whoever tries to reach it is refused. */
  async unplug() {
    await this.appview.stop("SIGKILL");
    await this.door.shut();
  }

  /** Opens the chat with `did` signed in, or nobody. */
  async open(did, more = {}) {
    const env = {
      ...more,
      CHAT_APPVIEW: this.door.url,
      CHAT_SPACE: [this.space ?? "public", ...this.rooms].join(),
      CHAT_PEOPLE: [ALICE, BOB, CAROL].join(),
    };
    const vars = { ...env, ...homes(this.folder), CHAT_DID: did ?? "" };
    this.log = "";
    this.window = await Window.open(CHAT, vars, { onlog: (text) => (this.log += text) });
  }

  /** Nothing of it is left. */
  async strike() {
    await this.window?.close();
    await this.door.shut();
    await this.appview?.stop("SIGTERM");
    await rm(this.folder, { recursive: true });
  }

  /** Writes a message, or writes it anew; `reply` is the message that it answers, `space` the room if not the first one. */
  put(rkey, did, text, reply, space) {
    const body = { $type: "com.example.chat.message", text };
    if (reply) body.reply = { uri: uri(...reply) };
    return this.#record("message", did, rkey, body, space);
  }

  /** `did` reacts to a message. */
  react(message, did, emoji) {
    const body = { $type: "com.example.chat.reaction", emoji, subject: { uri: uri(...message) } };
    return this.#record("reaction", did, `${message[0]}-${emoji.codePointAt(0)}`, body);
  }

  #record(collection, did, rkey, body, spaceUri = this.space) {
    const createdAt = this.#times.get(rkey) ?? Date.now();
    this.#times.set(rkey, createdAt);
    const record = { ...body, createdAt: new Date(createdAt).toISOString() };
    // Public records have a version, by which a write over another one is told.
    const cid = this.isPublic
      ? `bafyrei${createHash("sha256").update(JSON.stringify(record)).digest("hex")}`
      : undefined;
    return this.appview.control("put", { spaceUri, collection, did, rkey, record, cid });
  }

  remove(rkey, did) {
    return this.appview.control("delete", { spaceUri: this.space, collection: "message", did, rkey });
  }

  /** Goes to the room of this name in the window. */
  async go(name) {
    const find = (name) =>
      [...document.querySelectorAll("[data-testid=to-room]")].findIndex((it) => it.innerText.trim() === name);
    const index = await this.window.run(find, name);
    assert.notEqual(index, -1, `there is no room ${name}`);
    await this.window.click(`li:nth-child(${index + 1}) > [data-testid=to-room]`);
  }

  /** Clicks what has this test id. */
  click(testid) {
    return this.window.click(`[data-testid=${testid}]`);
  }

  /** Waits until something with this test id is there; what it holds as text. */
  text(testid) {
    const find = (id) => document.querySelector(`[data-testid=${id}]`)?.textContent.trim();
    return this.window.until(`there is ${testid}`, find, [testid]);
  }

  /** Writes a message in the window; its rkey, once it is shown. */
  async write(text) {
    await this.window.type("[data-testid=composer]", text);
    await this.click("send");
    return this.window.until(
      `"${text}" is shown`,
      (text) =>
        [...document.querySelectorAll("[data-testid=message]")].find(
          (message) => message.querySelector("[data-testid=text]").textContent.trim() === text,
        )?.dataset.rkey,
      [text],
    );
  }

  /** Chooses `edit` or `delete` in a message's own menu. */
  async choose(rkey, act) {
    const message = `[data-rkey="${rkey}"]`;
    await this.window.until(`${rkey} has a menu`, (it) => document.querySelector(it), [
      `${message} [data-testid=more]`,
    ]);
    await this.window.still();
    await this.window.click(`${message} [data-testid=more]`);
    await this.window.click(`${message} [data-testid=${act}]`);
  }

  /** Gives a message another text in the window, once that is shown. */
  async edit(rkey, text) {
    await this.choose(rkey, "edit");
    await this.text("editing");
    await this.window.run(() => document.querySelector("[data-testid=composer]").select());
    await this.window.type("[data-testid=composer]", text);
    await this.click("send");
    const shows = (rkey, text) =>
      document.querySelector(`[data-rkey="${rkey}"] [data-testid=text]`)?.textContent.trim() === text;
    await this.window.until(`${rkey} says ${text}`, shows, [rkey, text]);
  }

  /** Clicks what stands still. */
  async press(testid) {
    await this.text(testid);
    await this.window.still();
    await this.click(testid);
  }

  /** Waits until a message is `sent`, `pending` or `failed`. */
  is(rkey, state) {
    const look = (rkey, state) => document.querySelector(`[data-rkey="${rkey}"]`)?.dataset.state === state;
    return this.window.until(`${rkey} is ${state}`, look, [rkey, state]);
  }

  /** Waits until the badge says that so many writes wait; none: that it is not there. */
  waiting(count, ms) {
    const look = (count) =>
      Number(document.querySelector("[data-testid=waiting]")?.dataset.count ?? 0) === count;
    return this.window.until(`${count} writes wait`, look, [count], ms);
  }

  /** From now on every change of the page is checked: the message is there once, in the same element. */
  watch(rkey) {
    return this.window.run((rkey) => {
      const find = () => [...document.querySelectorAll(`[data-rkey="${rkey}"]`)];
      const [element] = find();
      const seen = (globalThis.watched = { states: [element.dataset.state], wrong: [] });
      new MutationObserver(() => {
        const found = find();
        if (found.length !== 1 || found[0] !== element) seen.wrong.push(`${found.length} elements`);
        if (seen.states.at(-1) !== element.dataset.state) seen.states.push(element.dataset.state);
      }).observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
    }, rkey);
  }

  /** The message that is watched was in these states one after the other, and never absent, doubled or replaced. */
  async went(...states) {
    assert.deepEqual(await this.window.run(() => globalThis.watched), { states, wrong: [] });
  }

  /** The server takes no write for now. */
  holdWrites() {
    return this.appview.control("fault", { on: "write", status: 503 });
  }

  /** Ends what `holdWrites` and `refuse` began. */
  takeWrites() {
    return this.appview.control("fault", {});
  }

  /** The server takes no write, and says why; `times`: how many. */
  refuse(message, times) {
    const body = JSON.stringify({ error: "InvalidRecord", message });
    return this.appview.control("fault", { on: "write", status: 400, body, times });
  }

  /** What the server was asked to write, in order: `[method, rkey, whether it changed anything]`. */
  async writesOnServer() {
    const log = await this.appview.control("pdsLog", {});
    return log.map(({ method, rkey, applied }) => [method.split(".").at(-1), rkey, applied]);
  }

  /** Waits until the app's cache holds this many records. */
  async caches(rows) {
    await this.window.run(async (rows) => {
      const end = Date.now() + 10_000;
      for (;;) {
        const info = await globalThis.__TAURI_INTERNALS__.invoke("plugin:contrail-sync|cache_info");
        if (info.rows === rows && !info.memoryOnly) return;
        if (Date.now() > end) throw new Error(`${rows} rows are not cached: ${JSON.stringify(info)}`);
        await new Promise(requestAnimationFrame);
      }
    }, rows);
  }

  /** Waits until the window shows exactly these messages in this order, and this status. */
  async shows(status, messages, ms) {
    const wanted = messages.map(([rkey, did, text]) => `${rkey} ${did} ${text}`);
    await this.window.until(
      `the status is ${status} and the list is\n  ${wanted.join("\n  ")}\n`,
      (status, wanted) => {
        const shown = [...document.querySelectorAll("[data-testid=message]")].map((message) => {
          const text = message.querySelector("[data-testid=text]")?.textContent.trim();
          return `${message.dataset.rkey} ${message.dataset.did} ${text}`;
        });
        const now = document.querySelector("[data-testid=status]")?.dataset.status;
        return now === status && JSON.stringify(shown) === JSON.stringify(wanted);
      },
      [status, wanted],
      ms,
    );
  }
}

const uri = (rkey, did) => `at://${did}/com.example.chat.message/${rkey}`;

/** A test of the `scene` that there is when it begins, which leaves a picture of the window when it fails. */
export function step(scene, promise, run) {
  it(promise, async (t) => {
    try {
      await run(t);
    } catch (error) {
      const file = join(ARTIFACTS, `${promise.replaceAll(/\W+/g, "-")}.png`);
      if (await saved(scene()?.window, file)) error.message += `\n(the window then: ${file})`;
      throw error;
    }
  });
}

async function saved(window, file) {
  if (!window) return false;
  try {
    await mkdir(ARTIFACTS, { recursive: true });
    await writeFile(file, await window.screenshot());
    return true;
  } catch {
    return false;
  }
}
