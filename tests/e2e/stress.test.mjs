// The chat in a real window whose page is blocked while a hundred thousand events arrive.
import assert from "node:assert/strict";
import { after, before, describe } from "node:test";
import { children, memory } from "./processes.mjs";
import { ALICE, BOB, Scene, step as stepOf } from "./scene.mjs";

const EVENTS = 100_000;
/** At least so long: the events take half of it, and a warm start says little. */
const BLOCK_MS = 20_000;
/** Filler of a message: together the events have half as much again, and do not fit into `NOISE_MB`. */
const SIZE = 500;
/** Megabytes that allocators may keep. */
const NOISE_MB = 30;
/** The delta on its way when the page was blocked, what came since in one, and the odd one after it. */
const FEW = 5;

/** Messages as a flood names them. */
const MESSAGES = Array.from({ length: 50 }, (_, i) => [
  `b${String(i).padStart(6, "0")}`,
  ALICE,
  `Message ${i}`,
]);

let scene;
const step = (promise, run) => stepOf(() => scene, promise, run);

/** Updates the messages so many times in turn. */
const flood = (n) =>
  scene.appview.control("flood", {
    spaceUri: scene.space,
    did: ALICE,
    n,
    size: SIZE,
    among: MESSAGES.length,
  });

/** Changes all messages to `text`, and returns them. */
async function settle(text) {
  const list = MESSAGES.map(([rkey, did], i) => [rkey, did, `${text} ${i}`]);
  for (const message of list) await scene.put(...message);
  return list;
}

/** The memory of the app and of its page, in MB. */
async function usage() {
  const { pid } = scene.window;
  const [page] = await children(pid, "WebKitWebProcess");
  return { app: await memory(pid), page: await memory(page) };
}

/** The most of it until `work` is done. */
async function peak(work) {
  const most = await usage();
  let done = false;
  const finished = work.finally(() => (done = true));
  while (!done) {
    await Promise.race([finished, new Promise((resolve) => setTimeout(resolve, 100))]);
    const now = await usage();
    for (const name of Object.keys(most)) most[name] = Math.max(most[name], now[name]);
  }
  await finished;
  return most;
}

describe("a blocked page", { timeout: 180_000 }, () => {
  before(async () => {
    scene = await Scene.set(MESSAGES);
    await scene.open(BOB);
    await scene.shows("live", MESSAGES);
  });

  after(() => scene?.strike());

  step(`costs no memory under ${EVENTS} events, and catches up at once`, async (t) => {
    // All is warm then, and it is known how long the events take on this machine.
    const { ms } = await flood(EVENTS / 10);
    await scene.shows("live", await settle("Warm"));
    const blockMs = Math.max(BLOCK_MS, 20 * ms);

    const before = await usage();
    await scene.window.run((blockMs) => {
      const real = globalThis.fetch;
      globalThis.acks = 0;
      globalThis.fetch = (url, ...more) => {
        if (String(url).includes("ack_watch")) globalThis.acks += 1;
        return real(url, ...more);
      };
      setTimeout(() => {
        const end = performance.now() + blockMs;
        while (performance.now() < end);
        globalThis.woke = Date.now();
      });
    }, blockMs);
    let list;
    const most = await peak(
      (async () => {
        const took = await flood(EVENTS);
        list = await settle("Last");
        t.diagnostic(`${EVENTS} events in ${Math.round(took.ms)} ms`);
      })(),
    );
    const done = Date.now();
    await scene.shows("live", list, blockMs + 15_000);

    const { woke, acks } = await scene.window.run(async () => {
      // An acknowledgement goes with the next frame.
      for (let i = 0; i < 3; i++) await new Promise(requestAnimationFrame);
      return { woke: globalThis.woke, acks: globalThis.acks };
    });
    t.diagnostic(`the page woke ${woke - done} ms after the last event, and took ${acks} deltas`);
    for (const name of ["app", "page"]) {
      t.diagnostic(
        `the ${name}: ${before[name].toFixed(1)} MB before, at most ${most[name].toFixed(1)} MB while it was blocked`,
      );
      assert.ok(most[name] <= before[name] + NOISE_MB, `the ${name} grew`);
    }
    assert.ok(woke > done, "the page was blocked until the last event");
    assert.ok(acks > 0 && acks <= FEW, `${acks} deltas`);
  });
});
