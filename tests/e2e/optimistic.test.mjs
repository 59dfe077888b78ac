// What one writes shows before the server has it, and older messages come when they are asked for.
import assert from "node:assert/strict";
import { after, before, describe } from "node:test";
import { ALICE, BOB, CAROL, Scene, step as stepOf } from "./scene.mjs";

/** Two pages and some more of older messages, the oldest first: the chat asks for 50 at a time. */
const OLD = Array.from({ length: 110 }, (_, i) => [
  `m${i - 110}`,
  [BOB, CAROL][i % 2],
  `Older message ${i + 1}`,
]);
const SEED = [
  ["m20", CAROL, "I have a filter for the lake, just in case"],
  ["m24", BOB, "Who looks up the last train?"],
];

let scene;
const step = (promise, run) => stepOf(() => scene, promise, run);

/** What the server has, the newest first, as rkeys. */
async function onServer() {
  const query = new URLSearchParams({ spaceUri: scene.space, limit: "10" });
  const url = `${scene.appview.url}/xrpc/com.example.message.listRecords?${query}`;
  const answer = await fetch(url, { headers: { authorization: `Bearer ${ALICE}` } });
  assert.equal(answer.status, 200);
  return (await answer.json()).records.map(({ rkey, uri }) => rkey ?? uri.split("/").at(-1));
}

/** Where a message is on the screen, in pixels from the top. */
function top(rkey) {
  return scene.window.run(
    (rkey) => Math.round(document.querySelector(`[data-rkey="${rkey}"]`).getBoundingClientRect().top),
    rkey,
  );
}

/** Goes up to the oldest message that is there. */
async function goUp() {
  await scene.window.run(() => (document.querySelector("[role=region]").scrollTop = 0));
  // The page has noticed once it offers the way back.
  await scene.text("latest");
}

describe("older messages", { timeout: 300_000 }, () => {
  let list = [...OLD, ...SEED];

  before(async () => {
    scene = await Scene.set(list);
    await scene.open(ALICE);
  });

  after(() => scene?.strike());

  step("are not there at first, and come page by page; the ones in sight stay where they are", async () => {
    for (const [shown, next] of [
      [50, 100],
      [100, 112],
    ]) {
      await scene.shows("live", list.slice(-shown), 30_000);
      const [first] = list.at(-shown);
      await goUp();
      const before = await top(first);
      await scene.press("earlier");
      await scene.shows("live", list.slice(-next));
      assert.equal(await top(first), before);
    }
  });

  step("are all there once the button is gone", async () => {
    const left = await scene.window.run(() => ({
      button: document.querySelectorAll("[data-testid=earlier]").length,
      text: document.querySelector("[role=region]").textContent,
    }));
    assert.equal(left.button, 0);
    assert.match(left.text, /This is where Trail talk begins/);
  });

  step("stay where they are when a new one arrives, which is announced", async () => {
    const [[first]] = list;
    await goUp();
    assert.match(await scene.text("latest"), /^Latest$/);
    const before = await top(first);
    const created = ["m200", BOB, "18:42"];
    await scene.put(...created);
    list = [...list, created];
    await scene.shows("live", list);
    assert.match(await scene.text("latest"), /^1 new message$/);
    assert.equal(await top(first), before);
  });

  step("are left for one's own message as soon as it is written", async () => {
    const rkey = await scene.write("Thanks!");
    await scene.is(rkey, "sent");
    const bottom = await scene.window.run(() => {
      const { clientHeight, scrollHeight, scrollTop } = document.querySelector("[role=region]");
      return scrollHeight - scrollTop - clientHeight < 2;
    });
    assert.ok(bottom, "the thread is at its end");
  });
});

describe("a message under way", { timeout: 300_000 }, () => {
  let list = SEED;

  before(async () => {
    scene = await Scene.set(SEED);
    await scene.open(ALICE);
    await scene.shows("live", SEED, 30_000);
  });

  after(() => scene?.strike());

  step("is shown before the server has it, and then becomes the real one in the same element", async () => {
    await scene.holdWrites();
    const text = "I do";
    const rkey = await scene.write(text);
    await scene.is(rkey, "pending");
    await scene.watch(rkey);
    assert.ok(!(await onServer()).includes(rkey), "the server does not have it yet");
    assert.equal(await scene.window.run(() => document.querySelector("[data-testid=composer]").value), "");
    await scene.takeWrites();
    await scene.is(rkey, "sent");
    list = [...list, [rkey, ALICE, text]];
    await scene.shows("live", list);
    assert.ok((await onServer()).includes(rkey), "the server has it");
    await scene.went("pending", "sent");
  });

  step("stays where it is while others write, and arrives after what was written before it", async () => {
    await scene.holdWrites();
    const first = ["18:42, and one at 20:10", await scene.write("18:42, and one at 20:10")];
    const second = ["Who books?", await scene.write("Who books?")];
    await scene.watch(second[1]);
    const other = ["m30", BOB, "I can ask at the counter"];
    await scene.put(...other);
    await scene.window.until("bob's message is shown", () => document.querySelector("[data-rkey=m30]"));
    await scene.is(first[1], "pending");
    await scene.takeWrites();
    await scene.is(second[1], "sent");
    await scene.went("pending", "sent");
    list = [...list, ...[first, second].map(([text, rkey]) => [rkey, ALICE, text]), other];
    await scene.shows("live", list);
    const [newest, before] = await onServer();
    assert.deepEqual([before, newest], [first[1], second[1]]);
  });

  step("that cannot be sent says so with the reason, and is sent when it is tried again", async () => {
    await scene.holdWrites();
    const text = "I book it tonight";
    const rkey = await scene.write(text);
    await scene.is(rkey, "pending");
    await scene.watch(rkey);
    await scene.refuse("a message needs a language");
    await scene.is(rkey, "failed");
    assert.match(await scene.text("unsent"), /Not sent: a message needs a language/);
    await scene.shows("live", [...list, [rkey, ALICE, text]]);
    await scene.press("again");
    await scene.window.until("it has failed again", () => globalThis.watched.states.length === 4);
    await scene.takeWrites();
    await scene.press("again");
    await scene.is(rkey, "sent");
    list = [...list, [rkey, ALICE, text]];
    await scene.shows("live", list);
    await scene.went("pending", "failed", "pending", "failed", "pending", "sent");
  });

  step("that cannot be sent is gone for good when it is discarded", async () => {
    await scene.refuse("a message needs a language", 1);
    const rkey = await scene.write("Or rather not");
    await scene.is(rkey, "failed");
    await scene.press("discard");
    await scene.shows("live", list);
    assert.ok(!(await onServer()).includes(rkey));
    const focused = await scene.window.run(() => document.activeElement.dataset.testid);
    assert.equal(focused, "composer");
  });

  step("outlives a reload of the page, and is sent", async () => {
    await scene.holdWrites();
    const text = "Two seats by the window";
    const rkey = await scene.write(text);
    await scene.is(rkey, "pending");
    await scene.window.reload();
    await scene.is(rkey, "pending");
    await scene.watch(rkey);
    await scene.takeWrites();
    await scene.is(rkey, "sent");
    await scene.went("pending", "sent");
    list = [...list, [rkey, ALICE, text]];
    await scene.shows("live", list);
  });

  step("outlives a change of the transport, as one that failed does", async () => {
    await scene.refuse("a message needs a language", 1);
    const failed = await scene.write("And the sleeper back");
    await scene.is(failed, "failed");
    await scene.holdWrites();
    const text = "Booked";
    const rkey = await scene.write(text);
    await scene.is(rkey, "pending");
    await scene.watch(rkey);
    await scene.click("transport-ws");
    await scene.takeWrites();
    await scene.is(rkey, "sent");
    await scene.is(failed, "failed");
    await scene.went("pending", "sent");
    await scene.press("discard");
    list = [...list, [rkey, ALICE, text]];
    await scene.shows("live", list);
  });
});
