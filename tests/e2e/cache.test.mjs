// The first paint: what the chat shows of its last run while no server answers.
// CONTRAIL_TEST_KEYRING says whether there is a keyring: 1 or 0.
import assert from "node:assert/strict";
import { after, before, describe } from "node:test";
import { ALICE, BOB, CAROL, RECONNECT_MS, Scene, step as stepOf } from "./scene.mjs";

let list = [
  ["m1", BOB, "The hut keeper says the upper spring is dry this year"],
  ["m8", CAROL, "Then everybody carries two litres from the valley"],
  ["m9", CAROL, "I have a filter for the lake, just in case"],
  ["m17", ALICE, "Good. Is the last train back still at 18:42?"],
  ["m24", BOB, "It is, I looked it up this morning 🚂"],
  ["m31", ALICE, "Perfect, so we leave the summit at three"],
];
const BURST = 40;

let scene;
const step = (promise, run) => stepOf(() => scene, promise, run);

/** Answers and reactions to what is in the space. */
async function decorate() {
  const [, , filter, train, answer] = list;
  await scene.put(...answer, train);
  await scene.react(filter, BOB, "👍");
  await scene.react(filter, ALICE, "👍");
}

/** The server is back with what is in the list. */
async function serve() {
  await scene.serve(list);
  await decorate();
}

/** Starts the app again, with no server to be reached. */
async function startUnplugged() {
  await scene.unplug();
  await scene.open(ALICE);
}

/** The ticket of the last run is there if there is a keyring: then it is the connect that fails, else the mint. */
async function knowsItsTicket() {
  const kind = await scene.window.run(() => document.querySelector("[data-testid=error]").dataset.kind);
  const expected = { 1: ["connect"], 0: ["mint-failed"] }[process.env.CONTRAIL_TEST_KEYRING];
  assert.ok((expected ?? ["connect", "mint-failed"]).includes(kind), kind);
}

describe("the first paint", { timeout: 300_000 }, () => {
  before(async () => {
    scene = await Scene.set(list);
    await decorate();
    await scene.open(ALICE);
  });

  after(() => scene?.strike());

  step(
    "a window that was closed shows its messages again while no server answers, the latest too",
    async () => {
      await scene.shows("live", list);
      const latest = ["m38", CAROL, "And I bring the cake for up there"];
      await scene.put(...latest);
      list = [...list, latest];
      await scene.shows("live", list);
      await scene.window.quit();
      await startUnplugged();
      await scene.shows("reconnecting", list);
    },
  );

  step("once the server is back the list follows it: what was deleted meanwhile disappears", async () => {
    list = list.filter(([rkey]) => rkey !== "m31");
    await serve();
    await scene.shows("live", list, RECONNECT_MS);
    for (const created of [
      ["m40", BOB, "Which cake?"],
      ["m41", CAROL, "Plum"],
    ]) {
      await scene.put(...created);
      list = [...list, created];
    }
    await scene.shows("live", list);
  });

  step("an app that was killed shows all that it had written", async () => {
    // One more than in the run before, so these are not the rows of then.
    await scene.caches(list.length);
    await scene.window.kill();
    await startUnplugged();
    await scene.shows("reconnecting", list);
  });

  step("an app that was killed amid many messages shows what was true at some moment of them", async () => {
    await serve();
    await scene.shows("live", list, RECONNECT_MS);
    const burst = Array.from({ length: BURST }, (_, i) => [`m${42 + i}`, CAROL, `${i + 1} of ${BURST}`]);
    const sent = [...list, ...burst];
    for (const message of burst) await scene.put(...message);
    await scene.shows("live", sent);
    await scene.window.kill();
    await startUnplugged();
    const count = await scene.window.until(
      `at least ${list.length} messages are shown`,
      (least) => {
        const { length } = document.querySelectorAll("[data-testid=message]");
        const now = document.querySelector("[data-testid=status]")?.dataset.status;
        return now === "reconnecting" && length >= least && length;
      },
      [list.length],
    );
    assert.ok(count <= sent.length);
    await scene.shows("reconnecting", sent.slice(0, count));
  });
});
