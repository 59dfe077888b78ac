// What one writes is on disk before it goes anywhere: it outlives the network and the app, arrives once and in order, and
// is the user's to send again or to take back where the server refuses it.
import assert from "node:assert/strict";
import { after, before, describe } from "node:test";
import { ALICE, BOB, CAROL, RECONNECT_MS, Scene, step as stepOf } from "./scene.mjs";

const SEED = [
  ["m20", CAROL, "I have a filter for the lake, just in case"],
  ["m24", BOB, "Who looks up the last train?"],
  ["m25", ALICE, "I do, tonight"],
];

let scene;
const step = (promise, run) => stepOf(() => scene, promise, run);

/** The queue, the oldest first, as what the server is going to be asked. */
function queue() {
  return scene.window.run(async () => {
    const { invoke } = globalThis.__TAURI_INTERNALS__;
    const writes = await invoke("plugin:contrail-sync|pending_writes", { account: null });
    return writes.map(({ action, rkey }) => [`${action}Record`, rkey]);
  });
}

/** Waits until a message is being deleted, and its text is struck through. */
function struck(rkey) {
  const look = (rkey) => {
    const message = document.querySelector(`[data-rkey="${rkey}"]`);
    const line = message && getComputedStyle(message.querySelector("[data-testid=text]")).textDecorationLine;
    return message?.dataset.deleted === "true" && line === "line-through";
  };
  return scene.window.until(`${rkey} is struck through`, look, [rkey]);
}

/** What a message that failed says for itself. */
async function said(rkey) {
  await scene.is(rkey, "failed");
  return (await scene.text("unsent")).replaceAll(/\s+/g, " ");
}

describe("what is written without a network", { timeout: 300_000 }, () => {
  let list = SEED;
  let waits;

  before(async () => {
    scene = await Scene.set(SEED);
    await scene.open(ALICE);
    await scene.shows("live", SEED, 30_000);
  });

  after(() => scene?.strike());

  step("shows at once, edited and struck through where it was, and the badge counts it", async () => {
    await scene.unplug();
    await scene.shows("reconnecting", list);
    const first = ["It leaves at 18:42", await scene.write("It leaves at 18:42")];
    const second = await scene.write("And one at 20:01");
    await scene.waiting(2);
    await scene.edit(second, "And one at 20:10");
    await scene.choose("m25", "delete");
    await struck("m25");
    const third = ["Who books?", await scene.write("Who books?")];
    list = [
      ...list,
      [first[1], ALICE, first[0]],
      [second, ALICE, "And one at 20:10"],
      [third[1], ALICE, third[0]],
    ];
    await scene.shows("reconnecting", list);
    waits = await queue();
    await scene.waiting(waits.length);
    assert.match(await scene.text("offline"), /4 changes of yours wait to be sent/);
  });

  step("is there again after the app was quit, while there still is no network", async () => {
    await scene.window.quit();
    await scene.open(ALICE);
    await scene.shows("reconnecting", list);
    for (const [rkey] of list.slice(-3)) await scene.is(rkey, "pending");
    await struck("m25");
    await scene.waiting(waits.length);
    assert.deepEqual(await queue(), waits);
  });

  step("arrives once and in order when the network is back, and the badge is gone", async () => {
    await scene.serve(SEED);
    list = list.filter(([rkey]) => rkey !== "m25");
    await scene.shows("live", list, RECONNECT_MS);
    await scene.waiting(0);
    for (const [rkey] of list) await scene.is(rkey, "sent");
    const arrived = waits.map((write) => [...write, true]);
    assert.deepEqual(await scene.writesOnServer(), arrived);
  });

  step("that was taken back before it went anywhere is gone", async () => {
    await scene.unplug();
    const rkey = await scene.write("Not worth saying");
    await scene.choose(rkey, "delete");
    await scene.serve(list);
    await scene.shows("live", list, RECONNECT_MS);
    await scene.waiting(0);
  });
});

describe("what the server does with a write", { timeout: 300_000 }, () => {
  let list = SEED;

  before(async () => {
    scene = await Scene.set(SEED);
    await scene.open(ALICE);
    await scene.shows("live", SEED, 30_000);
  });

  after(() => scene?.strike());

  step("a refused message says why, and arrives when it is tried again", async () => {
    await scene.refuse("a message needs a language", 1);
    const text = "18:42, and one at 20:10";
    const rkey = await scene.write(text);
    assert.match(await said(rkey), /^Not sent: a message needs a language Try again Discard$/);
    await scene.waiting(1);
    await scene.press("again");
    await scene.is(rkey, "sent");
    list = [...list, [rkey, ALICE, text]];
    await scene.shows("live", list);
    await scene.waiting(0);
  });

  step("a refused message that is discarded is gone, and the keyboard is where one writes", async () => {
    await scene.refuse("a message needs a language", 1);
    const rkey = await scene.write("Or rather not");
    await said(rkey);
    await scene.press("discard");
    await scene.shows("live", list);
    await scene.waiting(0);
    const focused = await scene.window.run(() => document.activeElement.dataset.testid);
    assert.equal(focused, "composer");
  });

  step("a refused edit, and a refused deletion, are taken back to what the server has", async () => {
    for (const act of ["edit", "delete"]) {
      await scene.refuse("the room is locked", 1);
      if (act === "edit") await scene.edit("m25", "I do not");
      else await scene.choose("m25", "delete");
      assert.match(await said("m25"), act === "edit" ? /^Not sent: the room/ : /^Not deleted: the room/);
      await scene.press("discard");
      await scene.is("m25", "sent");
      await scene.shows("live", list);
    }
  });

  step("a message whose answer was lost is sent again, and shows once all the while", async () => {
    await scene.appview.control("fault", { on: "write", acceptThen: "close", times: 1 });
    const text = "Two seats by the window";
    const rkey = await scene.write(text);
    await scene.watch(rkey);
    await scene.is(rkey, "sent");
    await scene.waiting(0);
    list = [...list, [rkey, ALICE, text]];
    await scene.shows("live", list);
    const attempts = (await scene.writesOnServer()).filter(([, it]) => it === rkey);
    assert.ok(attempts.length <= 2, `${attempts.length} attempts arrived`);
    const { wrong } = await scene.window.run(() => globalThis.watched);
    assert.deepEqual(wrong, []);
  });

  step("a badge counts all that the server does not have, whatever the reason", async () => {
    await scene.refuse("a message needs a language", 1);
    await said(await scene.write("Gibt es oben Wasser?"));
    await scene.holdWrites();
    await scene.write("Booked: two seats by the window");
    await scene.choose("m25", "delete");
    await struck("m25");
    await scene.waiting(3);
  });
});

describe("two windows", { timeout: 300_000 }, () => {
  let list = SEED;
  let first, second;

  before(async () => {
    scene = await Scene.set(SEED);
    await scene.open(ALICE, { CHAT_WINDOWS: "2" });
    [first, second] = await scene.window.handles(2);
    for (const handle of [second, first]) {
      await scene.window.go(handle);
      await scene.shows("live", SEED, 30_000);
    }
  });

  after(() => scene?.strike());

  step("show the same: what one writes, and what becomes of it", async () => {
    await scene.unplug();
    const text = "I book it tonight";
    const rkey = await scene.write(text);
    list = [...list, [rkey, ALICE, text]];
    await scene.window.go(second);
    await scene.shows("reconnecting", list);
    await scene.is(rkey, "pending");
    await scene.choose("m25", "delete");
    await scene.window.go(first);
    await struck("m25");
    await scene.waiting(2);
    await scene.serve(SEED);
    list = list.filter(([it]) => it !== "m25");
    for (const handle of [first, second]) {
      await scene.window.go(handle);
      await scene.shows("live", list, RECONNECT_MS);
      await scene.is(rkey, "sent");
      await scene.waiting(0);
    }
  });

  step("can decide either of them what becomes of a refusal", async () => {
    await scene.refuse("a message needs a language", 1);
    await scene.window.go(first);
    const rkey = await scene.write("Or the day after");
    await scene.window.go(second);
    assert.match(await said(rkey), /a message needs a language/);
    await scene.press("discard");
    for (const handle of [second, first]) {
      await scene.window.go(handle);
      await scene.shows("live", list);
    }
  });
});

describe("a message that was changed elsewhere meanwhile", { timeout: 300_000 }, () => {
  let list = SEED;

  /** Alice's own message is changed on the server, which does not say so, and then in the window. */
  async function both(theirs, mine) {
    await scene.put("m25", ALICE, theirs);
    await scene.edit("m25", mine);
    await scene.is("m25", "failed");
    const look = (theirs) => document.querySelector("[data-testid=theirs]")?.textContent.includes(theirs);
    await scene.window.until(`"${theirs}" is shown beside "${mine}"`, look, [theirs]);
    await scene.shows("live", [...list.slice(0, -1), ["m25", ALICE, mine]]);
  }

  before(async () => {
    // Public records have versions, and lists are looked at seldom enough for this.
    scene = await Scene.set(SEED, { isPublic: true });
    await scene.open(ALICE, { CHAT_POLL_MS: "3600000" });
    await scene.shows("live", SEED, 30_000);
  });

  after(() => scene?.strike());

  step("shows both versions, and becomes theirs", async () => {
    await both("Carol does", "I do, on Friday");
    await scene.press("discard");
    list = [...SEED.slice(0, -1), ["m25", ALICE, "Carol does"]];
    await scene.is("m25", "sent");
    await scene.shows("live", list);
  });

  step("or mine", async () => {
    await both("Bob does", "I do, on Saturday");
    await scene.press("again");
    list = [...SEED.slice(0, -1), ["m25", ALICE, "I do, on Saturday"]];
    await scene.is("m25", "sent");
    await scene.shows("live", list);
    await scene.waiting(0);
  });
});
