// The chat on an appview that has no streams, as today's have none: its messages are public, and come as lists.
import assert from "node:assert/strict";
import { after, before, describe } from "node:test";
import { ALICE, BOB, CAROL, Scene, step as stepOf } from "./scene.mjs";

/** Oldest first. */
const SEED = [
  ["m1", ALICE, "Which trail shall we take?"],
  ["m2", BOB, "The ridge, if it stays dry"],
  ["m3", CAROL, "It stays dry"],
  ["m4", ALICE, "Then the ridge"],
];

describe("the chat on public lists", { timeout: 180_000 }, () => {
  let scene;
  let list = SEED;
  const step = (promise, run) => stepOf(() => scene, promise, run);

  before(async () => {
    scene = await Scene.set(SEED, { isPublic: true });
    await scene.react(SEED[0], BOB, "🌲");
    await scene.open(ALICE);
  });

  after(() => scene?.strike());

  step("what is created, edited and deleted shows within the interval, live all the while", async () => {
    await scene.shows("live", SEED, 30_000);
    await scene.window.run(() => {
      const status = document.querySelector("[data-testid=status]");
      globalThis.statuses = [];
      const note = () => globalThis.statuses.push(status.dataset.status);
      new MutationObserver(note).observe(status, {
        attributes: true,
        attributeFilter: ["data-status"],
      });
    });
    const created = ["m5", CAROL, "Bringing coffee"];
    await scene.put(...created);
    list = [...list, created];
    await scene.shows("live", list);
    const edited = ["m3", CAROL, "It stays dry, says the forecast"];
    await scene.put(...edited);
    list = list.map((message) => (message[0] === "m3" ? edited : message));
    await scene.remove("m2", BOB);
    list = list.filter(([rkey]) => rkey !== "m2");
    await scene.shows("live", list);
    assert.deepEqual(await scene.window.run(() => globalThis.statuses), []);
  });

  step("the people have the handles that the appview tells, and the messages their reactions", async () => {
    const handles = await scene.window.run(() =>
      [...document.querySelectorAll("[data-testid=handle]")].map((it) => it.textContent.trim()).sort(),
    );
    // Whom the appview named once stays known, though nothing of his is left in the list.
    assert.deepEqual(handles, ["@alice.test", "@carol.test"]);
    const first = await scene.window.run(() => document.querySelector("[data-rkey=m1]").textContent);
    assert.match(first, /🌲/);
  });

  step("a message that is written in the window shows as sent without waiting for the interval", async () => {
    const text = "Meet you there";
    const { positions } = await scene.appview.stats();
    await scene.window.type("[data-testid=composer]", text);
    await scene.window.click("[data-testid=send]");
    const rkey = await scene.window.until(
      "the message is shown as sent",
      (text) =>
        [...document.querySelectorAll("[data-testid=message][data-state=sent]")].find(
          (message) => message.querySelector("[data-testid=text]")?.textContent.trim() === text,
        )?.dataset.rkey,
      [text],
    );
    list = [...list, [rkey, ALICE, text]];
    await scene.shows("live", list);
    const looks = (await scene.appview.stats()).positions - positions;
    assert.ok(looks <= 1, `it took ${looks} looks at the position`);
  });

  step("the next start shows the messages and the handles without the network, and goes on", async () => {
    await scene.caches(list.length);
    await scene.window.close();
    await scene.unplug();
    await scene.open(ALICE);
    await scene.shows("reconnecting", list);
    assert.equal(await scene.text("handle"), "@alice.test");
    const back = ["m6", BOB, "On the train now"];
    await scene.serve([...list, back]);
    list = [...list, back];
    await scene.shows("live", list, 40_000);
  });
});
