// Several rooms in one window: each is a watch of its own, and only the one that is shown runs.
import assert from "node:assert/strict";
import { after, before, describe } from "node:test";
import { ALICE, BOB, CAROL, Scene, step as stepOf } from "./scene.mjs";

const ENTER = "\uE007";

let trail = [
  ["m1", CAROL, "Who brings the tent?"],
  ["m2", BOB, "I do, it sleeps three"],
];
let kitchen = [
  ["m3", ALICE, "Lentils, two onions, a carrot each"],
  ["m4", CAROL, "The hut has salt"],
];

let scene, kitchenUri;
const step = (promise, run) => stepOf(() => scene, promise, run);

/** What the page says of where it is: the room in the header, and the one that is marked. */
function here() {
  return scene.window.run(() => ({
    header: document.querySelector("[data-testid=room]").textContent.trim(),
    marked: [...document.querySelectorAll("[data-testid=to-room][aria-current]")].map((it) =>
      it.textContent.trim(),
    ),
  }));
}

/** Nothing of these messages is left in the page. */
async function isGone(messages) {
  const page = await scene.window.run(() => document.documentElement.outerHTML);
  for (const [, , text] of messages) assert.ok(!page.includes(text), `"${text}" is still in the page`);
}

describe("several rooms", { timeout: 300_000 }, () => {
  before(async () => {
    scene = await Scene.set(trail);
    kitchenUri = await scene.addRoom("hut-kitchen", kitchen);
    await scene.open(BOB);
  });

  after(() => scene?.strike());

  step("the first one is shown, and marked in the list of rooms", async () => {
    await scene.shows("live", trail, 30_000);
    assert.deepEqual(await here(), { header: "Trail talk", marked: ["Trail talk"] });
  });

  step("a click goes to another one: its list is live, and no message of the first stays", async () => {
    await scene.go("Hut kitchen");
    await scene.shows("live", kitchen);
    assert.deepEqual(await here(), { header: "Hut kitchen", marked: ["Hut kitchen"] });
    await isGone(trail);
    const created = ["m5", ALICE, "And who does the dishes?"];
    await scene.put(...created, undefined, kitchenUri);
    kitchen = [...kitchen, created];
    await scene.shows("live", kitchen);
    // Beside it the first one changes.
    const unseen = ["m6", CAROL, "Platform 3, the front end"];
    await scene.put(...unseen);
    trail = [...trail, unseen];
    await isGone(trail);
  });

  step("the watch of the room that was left ends", async () => {
    const end = Date.now() + 15_000;
    // Nobody tells of it.
    while ((await scene.appview.stats()).watches > 1) {
      assert.ok(Date.now() < end, "there still are two connections");
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await scene.shows("live", kitchen);
  });

  step("a message that is written goes to the room that is shown", async () => {
    const text = "Not me";
    const rkey = await scene.write(text);
    await scene.is(rkey, "sent");
    kitchen = [...kitchen, [rkey, BOB, text]];
    await scene.shows("live", kitchen);
  });

  step("what was begun in a room stays behind: a draft, and an answer", async () => {
    await scene.window.run(() => document.querySelector("[data-rkey=m4] [aria-label^=Reply]").click());
    await scene.window.type("[data-testid=composer]", "Pepper, too?");
    await scene.go("Trail talk");
    await scene.shows("live", trail);
    const composer = await scene.window.run(() => ({
      text: document.querySelector("[data-testid=composer]").value,
      around: document.querySelector("form").innerText,
    }));
    assert.equal(composer.text, "");
    assert.doesNotMatch(composer.around, /Replying/);
    await isGone(kitchen);
  });

  step("the keyboard goes to another one as well, and stays on it in the list", async () => {
    await scene.window.type("li:nth-child(2) > [data-testid=to-room]", ENTER);
    await scene.shows("live", kitchen);
    const focused = await scene.window.run(() => document.activeElement.textContent.trim());
    assert.equal(focused, "Hut kitchen");
  });

  step("a kick from one room leaves the other", async () => {
    await scene.go("Trail talk");
    await scene.shows("live", trail);
    await scene.appview.control("kick", { spaceUri: scene.space, did: BOB });
    assert.match(await scene.text("access-lost"), /You are no longer a member/);
    await isGone(trail);
    await scene.go("Hut kitchen");
    await scene.shows("live", kitchen);
    const created = ["m7", CAROL, "I wash, you dry"];
    await scene.put(...created, undefined, kitchenUri);
    kitchen = [...kitchen, created];
    await scene.shows("live", kitchen);
  });

  step("who comes back after a kick gets no ticket, sees nothing, and is told why", async () => {
    await scene.go("Trail talk");
    assert.match(await scene.text("access-lost"), /not a member.*not-member/s);
    await isGone(trail);
  });
});
