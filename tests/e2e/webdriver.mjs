// The little of W3C WebDriver that driving the windows of one Tauri app takes, over plain HTTP.
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { onExit } from "./children.mjs";
import { askToClose } from "./x11.mjs";

const START_MS = 30_000;
const QUIT_MS = 10_000;
const SCRIPT_MS = 60_000;
const ELEMENT = "element-6066-11e4-a52e-4f735466cecf";

/** A port that is free now. */
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

async function call(base, method, path, body, ms = SCRIPT_MS + 10_000) {
  const answer = await fetch(`${base}${path}`, {
    method,
    headers: { "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: AbortSignal.timeout(ms),
  });
  const { value } = await answer.json();
  if (!answer.ok) {
    throw new Error(`WebDriver ${method} ${path}: ${value?.error}: ${value?.message}`);
  }
  return value;
}

async function ready(base, driver) {
  const end = Date.now() + START_MS;
  for (;;) {
    if (driver.exitCode !== null) throw new Error(`WebKitWebDriver ended (${driver.exitCode})`);
    try {
      return await call(base, "GET", "/status");
    } catch (error) {
      // The driver announces nothing when it begins to listen.
      if (Date.now() > end) throw new Error(`WebKitWebDriver does not answer: ${error.message}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** The only process that `pid` has started. */
async function childOf(pid) {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8");
  const [child, ...others] = children.trim().split(/\s+/).map(Number);
  if (!child || others.length > 0) throw new Error(`one child was expected of ${pid}, not: ${children}`);
  return child;
}

/** Resolves once a process has ended that is not our child, of which nobody tells us. */
async function ended(pid) {
  const end = Date.now() + QUIT_MS;
  for (;;) {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
    if (!stat || stat.slice(stat.lastIndexOf(")")).startsWith(") Z")) return;
    if (Date.now() > end) throw new Error(`process ${pid} has not ended within ${QUIT_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** The window of an app; of several, the one that `go` went to. */
export class Window {
  #base;
  #stop;
  #pid;

  /** Starts `binary` with `env` added to the environment. `onlog` is given what it writes to stderr. */
  static async open(binary, env, { args = [], onlog = () => {} } = {}) {
    const port = await freePort();
    const driver = spawn("WebKitWebDriver", [`--port=${port}`, "--host=127.0.0.1"], {
      env: { ...process.env, ...env, TAURI_WEBVIEW_AUTOMATION: "true" },
      stdio: ["ignore", "inherit", "pipe"],
      detached: true,
    });
    driver.stderr.setEncoding("utf8").on("data", (text) => {
      process.stderr.write(text);
      onlog(text);
    });
    const stop = onExit(driver);
    const failed = new Promise((_, reject) => driver.once("error", reject));
    const base = `http://127.0.0.1:${port}`;
    try {
      await Promise.race([failed, ready(base, driver)]);
      // An app that ends before it has a window leaves this request without an answer.
      const app = { "webkitgtk:browserOptions": { binary, args } };
      const wish = { capabilities: { alwaysMatch: app } };
      const { sessionId } = await call(base, "POST", "/session", wish, START_MS).catch((cause) => {
        throw new Error(`${binary} has opened no window: ${cause.message}`, { cause });
      });
      const window = new Window(`${base}/session/${sessionId}`, stop, await childOf(driver.pid));
      await window.#post("/timeouts", { script: SCRIPT_MS, pageLoad: SCRIPT_MS });
      return window;
    } catch (error) {
      await stop("SIGKILL");
      throw error;
    }
  }

  constructor(base, stop, pid) {
    this.#base = base;
    this.#stop = stop;
    this.#pid = pid;
  }

  /** The app's process. */
  get pid() {
    return this.#pid;
  }

  /** The handles of the app's windows, once there are `count`. */
  async handles(count) {
    const end = Date.now() + START_MS;
    for (;;) {
      const handles = await call(this.#base, "GET", "/window/handles");
      if (handles.length === count) return handles;
      if (Date.now() > end) throw new Error(`there are ${handles.length} windows, not ${count}`);
      // Nobody tells us of a new window.
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Whatever follows is about this window of the app. */
  async go(handle) {
    await this.#post("/window", { handle });
  }

  #post(path, body = {}) {
    return call(this.#base, "POST", path, body);
  }

  /** Runs `fn(...args)` in the page; its result, or what its promise resolves to. */
  async run(fn, ...args) {
    const outcome = await this.#post("/execute/async", {
      script: `
        const args = Array.from(arguments), done = args.pop();
        Promise.resolve().then(() => (${fn})(...args))
          .then((value) => done({ value }), (error) => done({ error: String(error) }));`,
      args,
    });
    if (outcome.error !== undefined) throw new Error(`in the page: ${outcome.error}`);
    return outcome.value;
  }

  /** Waits until `fn(...args)`, looked at after every change of the page, is true there; its value. */
  async until(what, fn, args = [], ms = 15_000) {
    const end = Date.now() + ms;
    for (;;) {
      try {
        return await this.#until(what, fn, args, ms);
      } catch (error) {
        // The page that was asked went away for another one.
        const wentAway = /no such frame|unload event/.test(error.message);
        if (!wentAway || Date.now() > end) throw error;
      }
    }
  }

  async #until(what, fn, args, ms) {
    const outcome = await this.#post("/execute/async", {
      script: `
        const args = Array.from(arguments), done = args.pop(), ms = args.pop();
        const check = ${fn};
        const look = () => { const value = check(...args); if (value) finish({ value }); };
        const observer = new MutationObserver(look);
        const timer = setTimeout(() => finish({ late: document.body.innerText.slice(0, 2000) }), ms);
        function finish(outcome) { observer.disconnect(); clearTimeout(timer); done(outcome); }
        observer.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
        look();`,
      args: [...args, ms],
    });
    if (outcome.late !== undefined) {
      throw new Error(`waited ${ms} ms in vain until ${what}; the page shows:\n${outcome.late}`);
    }
    return outcome.value;
  }

  /** Types into the first element that matches `selector`. */
  async type(selector, text) {
    await this.#post(`/element/${await this.#find(selector)}/value`, { text });
  }

  /** Clicks the first element that matches `selector`. */
  async click(selector) {
    await this.#post(`/element/${await this.#find(selector)}/click`);
  }

  /** Moves the pointer to the upper left corner, where nothing heeds it. */
  async letGo() {
    // One that is there already makes nothing of a move to where it is.
    const moves = [2, 1].map((x) => ({ type: "pointerMove", duration: 0, x, y: 1, origin: "viewport" }));
    await this.#post("/actions", { actions: [{ type: "pointer", id: "mouse", actions: moves }] });
  }

  /** Makes the window as large as this, its frame included. */
  async resize(width, height) {
    await this.#post("/window/rect", { width, height });
  }

  async #find(selector) {
    const found = await this.#post("/element", { using: "css selector", value: selector });
    return found[ELEMENT];
  }

  /** Reloads the page; resolves once it has loaded. */
  async reload() {
    await this.#post("/refresh");
  }

  /** Resolves once everything is drawn and nothing moves any more, but for animations without an end. */
  async still() {
    await this.run(async () => {
      await document.fonts.ready;
      // What changed last is drawn two frames later.
      for (let i = 0; i < 2; i++) await new Promise(requestAnimationFrame);
      const endless = (a) => a.effect?.getComputedTiming().endTime === Infinity;
      const ends = document
        .getAnimations()
        .filter((a) => !endless(a))
        .map((a) => a.finished);
      await Promise.allSettled(ends);
    });
  }

  /** The page as a PNG, or the first element in it that matches `selector`. */
  async screenshot(selector) {
    const of = selector ? `/element/${await this.#find(selector)}` : "";
    return Buffer.from(await call(this.#base, "GET", `${of}/screenshot`), "base64");
  }

  /** Closes the window as its user would; resolves once the app has ended by itself. */
  async quit() {
    await askToClose(this.#pid);
    await this.gone();
  }

  /** Resolves once the app has ended by itself. */
  async gone() {
    await ended(this.#pid);
    await this.#stop("SIGKILL");
  }

  /** Kills the app, which has no time for anything. */
  async kill() {
    process.kill(this.#pid, "SIGKILL");
    await ended(this.#pid);
    await this.#stop("SIGKILL");
  }

  /** Ends the app and its driver. */
  async close() {
    await call(this.#base, "DELETE", "").catch(() => {});
    await this.#stop("SIGTERM");
  }
}
