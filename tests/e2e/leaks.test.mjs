// Reloads, windows that come and go, and a web process that dies leave nothing behind in the app, which counts itself:
// the gallery with GALLERY_PROBE=1 in real windows.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe } from "node:test";
import { Appview } from "./appview.mjs";
import { children, memory, sockets } from "./processes.mjs";
import { ALICE, APPVIEW, homes, step as stepOf, TARGET } from "./scene.mjs";
import { Window } from "./webdriver.mjs";

const GALLERY = process.env.E2E_GALLERY ?? join(TARGET, "debug/gallery");
const RELOADS = 200;
const WARM_RELOADS = 20;
const CYCLES = 100;
const WARM_CYCLES = 10;
/** Megabytes that allocators and WebKit's caches may keep. */
const NOISE_MB = 30;
/** Where Tauri's script keeps a page's listeners, by the events' names. */
const LISTENERS = "__internal_unstable_listeners_object_id__";

let appview, folder, space;
const scene = {};
const step = (promise, run) => stepOf(() => scene, promise, run);

const put = (rkey, text) =>
  appview.control("put", {
    spaceUri: space.uri,
    collection: "message",
    did: ALICE,
    rkey,
    record: { text },
  });

/** Waits until the page is live and shows the note. */
const shows = (rkey) =>
  scene.window.until(
    `the list is live and shows ${rkey}`,
    (rkey) =>
      document.querySelector("ol")?.dataset.status === "live" && document.getElementById(rkey) !== null,
    [rkey],
  );

const invoke = (command, args = {}) =>
  scene.window.run((command, args) => globalThis.__TAURI_INTERNALS__.invoke(command, args), command, args);

/** The connection that a comparison with the server used is kept for the next one, with the tasks that serve it. */
const KEPT_TASKS = 2;
const KEPT_SOCKETS = 1;

/** Waits until the app counts this much and no more; tasks that end need a moment. */
const counts = (wanted) =>
  scene.window.run(
    async (wanted, kept) => {
      const end = Date.now() + 10_000;
      const isIt = (name, count) =>
        name === "tasks" ? count <= wanted.tasks + kept : count === wanted[name];
      for (;;) {
        const counts = await globalThis.__TAURI_INTERNALS__.invoke("probe_counts");
        if (Object.keys(wanted).every((name) => isIt(name, counts[name]))) return counts;
        if (Date.now() > end)
          throw new Error(`the app counts ${JSON.stringify(counts)}, not ${JSON.stringify(wanted)}`);
        await new Promise(requestAnimationFrame);
      }
    },
    wanted,
    KEPT_TASKS,
  );

/** What else can grow: the app's sockets, and its memory and its page's. */
async function usage() {
  const { pid } = scene.window;
  const [page] = await children(pid, "WebKitWebProcess");
  return {
    sockets: await sockets(pid),
    app: await memory(pid),
    page: await memory(page),
  };
}

/** Says what there was `before` and is now, and bounds what is the plugin's: WebKit caches what it likes in the page. */
async function grewNot(t, before) {
  const end = Date.now() + 10_000;
  const allowed = before.sockets + KEPT_SOCKETS;
  let now = await usage();
  // Those to the processes of a page that just went close a moment later, and nothing tells when.
  while (now.sockets > allowed && Date.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    now = await usage();
  }
  const text = ({ sockets, app, page }) =>
    `${sockets} sockets, ${app.toFixed(1)} MB in the app, ${page.toFixed(1)} MB in the page`;
  t.diagnostic(`before: ${text(before)}; after: ${text(now)}`);
  assert.ok(now.sockets <= allowed, `${before.sockets} sockets before, ${now.sockets} after`);
  assert.ok(now.app <= before.app + NOISE_MB, `${before.app} MB before, ${now.app} after`);
}

/**
 * Reloads the page so many times, every fourth time before its store is live. What the other pages listened to, by name,
 * but for those that may have been told what the page before had asked for.
 */
async function reload(times) {
  const names = [];
  const heard = (listeners) => Object.getOwnPropertyNames(globalThis[listeners]);
  for (let i = 0; i < times; i++) {
    const turn = i % 4;
    if (turn < 3) await shows("n1");
    if (turn === 1 || turn === 2) names.push(...(await scene.window.run(heard, LISTENERS)));
    await scene.window.reload();
  }
  await shows("n1");
  return names;
}

/** Opens and closes the window so many times; every other time before its page holds a handle. */
const cycle = (times) =>
  scene.window.run(async (times) => {
    const { invoke } = globalThis.__TAURI_INTERNALS__;
    const handles = async (count) => {
      const end = Date.now() + 10_000;
      while ((await invoke("probe_counts")).handles !== count) {
        if (Date.now() > end) throw new Error(`there are not ${count} handles`);
        await new Promise(requestAnimationFrame);
      }
    };
    for (let i = 0; i < times; i++) {
      await invoke("probe_open", { label: "solid" });
      if (i % 2 === 0) await handles(2);
      await invoke("probe_close", { label: "solid" });
      await handles(1);
    }
  }, times);

/** Those of the events that have a listener on the Rust side: Tauri then looks for it in the page, which says so. */
const heard = (names) =>
  scene.window.run(
    async (names, listeners) => {
      const { invoke, transformCallback } = globalThis.__TAURI_INTERNALS__;
      const listen = (event, take) =>
        invoke("plugin:event|listen", {
          event,
          target: { kind: "Any" },
          handler: transformCallback(take),
        });
      const emit = (event) => invoke("plugin:event|emit", { event, payload: "" });
      // Scripts run in their order: once this event is here, all is that was under way before.
      const caughtUp = (mark) => new Promise((resolve) => void listen(mark, resolve).then(() => emit(mark)));
      const found = new Set();
      for (const name of names) {
        Object.defineProperty(globalThis[listeners], name, {
          get: () => void found.add(name),
        });
      }
      // What Tauri knows of and the page does not: as of a page that is gone.
      await listen(names.at(-1), () => {});
      await caughtUp("mark-1");
      found.clear();
      for (const name of names) await emit(name);
      await caughtUp("mark-2");
      return [...found];
    },
    names,
    LISTENERS,
  );

describe("the app", { timeout: 300_000 }, () => {
  let driver, quiet;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "contrail-e2e-"));
    appview = await Appview.start(APPVIEW);
    space = await appview.control("openSpace", { key: "notes", owner: ALICE });
    await put("n1", "Tent, sleeps three");
    const gallery = {
      GALLERY_APPVIEW: appview.url,
      GALLERY_QUERY: space.query,
      GALLERY_PROBE: "1",
    };
    const env = { ...homes(folder), ...gallery };
    scene.window = await Window.open(GALLERY, env, { args: ["vue"] });
    [driver] = await scene.window.handles(1);
    await shows("n1");
  });

  after(async () => {
    await scene.window?.close();
    await appview?.stop("SIGTERM");
    await rm(folder, { recursive: true });
  });

  step(`is after ${RELOADS} reloads of a live page as it was, over the same connection`, async (t) => {
    await reload(WARM_RELOADS);
    quiet = await counts({ handles: 1, watches: 1 });
    const before = await usage();
    const names = await reload(RELOADS);
    await counts(quiet);
    await grewNot(t, before);
    const { watches, sse } = await appview.stats();
    assert.deepEqual({ watches, sse }, { watches: 1, sse: 1 });
    assert.equal(names.length, (3 * RELOADS) / 2, "three of every other page");
    assert.deepEqual(await heard([...names, "control"]), ["control"]);
  });

  step(`is after ${CYCLES} windows that came and went as it was`, async (t) => {
    await cycle(WARM_CYCLES);
    await scene.window.handles(1);
    quiet = await counts({ handles: 1, watches: 1 });
    const before = await usage();
    for (let i = 0; i < CYCLES; i += 20) await cycle(20);
    await counts(quiet);
    await scene.window.handles(1);
    await grewNot(t, before);
    const { watches, sse } = await appview.stats();
    assert.deepEqual({ watches, sse }, { watches: 1, sse: 1 });
  });

  step("has the handle of a page that closes itself back when its window closes", async () => {
    await invoke("probe_open", { label: "solid" });
    await counts({ handles: 2, watches: 1 });
    const [page] = (await scene.window.handles(2)).filter((handle) => handle !== driver);
    await scene.window.go(page);
    await scene.window.run(() => void setTimeout(() => globalThis.close()));
    await scene.window.go(driver);
    await scene.window.handles(1);
    await invoke("probe_close", { label: "solid" });
    await counts(quiet);
  });

  // The last one: the driver ends its session with the page.
  step(
    "lives on when the process of a window's page is killed, and has its handle back when the window closes",
    async () => {
      const { pid } = scene.window;
      const others = await children(pid, "WebKitWebProcess");
      await invoke("probe_open", { label: "solid" });
      await counts({ handles: 2, watches: 1 });
      const [page] = (await children(pid, "WebKitWebProcess")).filter((pid) => !others.includes(pid));
      // What is left of the app does the rest by itself, and ends once all is well.
      await scene.window.run(
        async (quiet, kept) => {
          const { invoke } = globalThis.__TAURI_INTERNALS__;
          const frame = () => new Promise(requestAnimationFrame);
          const rest = async () => {
            while (!document.getElementById("n2")) await frame();
            if ((await invoke("probe_counts")).handles !== 2) return;
            await invoke("probe_close", { label: "solid" });
            const settled = (now) =>
              now.handles === quiet.handles &&
              now.watches === quiet.watches &&
              now.tasks <= quiet.tasks + kept;
            while (!settled(await invoke("probe_counts"))) await frame();
            await invoke("probe_close", { label: "vue" });
          };
          void rest();
        },
        quiet,
        KEPT_TASKS,
      );
      process.kill(page, "SIGKILL");
      await put("n2", "Filter for the lake");
      await scene.window.gone();
    },
  );
});
