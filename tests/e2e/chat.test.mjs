// The real chat app in a real window, following a real appview, driven from outside.
import assert from "node:assert/strict";
import { after, before, describe } from "node:test";
import { ALICE, BOB, CAROL, RECONNECT_MS, Scene, step as stepOf } from "./scene.mjs";

/** What is in the space at first, oldest first. */
const SEED = [
  ["m1", ALICE, "Which trail shall we take?"],
  ["m2", BOB, "The ridge, if it stays dry"],
  ["m3", CAROL, "It stays dry"],
  ["m4", ALICE, "Then the ridge"],
  ["m5", BOB, "See you at the station"],
];

let scene;
/** Where the messages are on the screen, before the server is dead. */
let tops;
const step = (promise, run) => stepOf(() => scene, promise, run);

/** How far each message is from the top of the window, in tenths of a pixel: the end of an animation moves less. */
function topsNow() {
  return scene.window.run(() =>
    [...document.querySelectorAll("[data-testid=message]")].map((it) =>
      Math.round(it.getBoundingClientRect().top * 10),
    ),
  );
}

/** Waits until the watch begins to wait for its next attempt, which is at least so many seconds away; when that began. */
function waitsLong(seconds) {
  return scene.window.run(async (seconds) => {
    const { invoke } = globalThis.__TAURI_INTERNALS__;
    const end = Date.now() + 50_000;
    for (;;) {
      const { watches, now } = await invoke("plugin:contrail-sync|inspect_watches", { since: 0 });
      const last = watches[0].timeline.at(-1);
      if (last.kind === "waiting" && parseFloat(last.words) >= seconds && now - last.at < 500) return last.at;
      if (Date.now() > end) throw new Error(`no long wait: ${JSON.stringify(watches[0].timeline)}`);
      await new Promise(requestAnimationFrame);
    }
  }, seconds);
}

/** When the watch began to connect after a moment. */
function connectsAfter(moment) {
  return scene.window.run(async (moment) => {
    const { invoke } = globalThis.__TAURI_INTERNALS__;
    for (;;) {
      const { watches } = await invoke("plugin:contrail-sync|inspect_watches", { since: 0 });
      const next = watches[0].timeline.find(({ at, kind }) => at >= moment && kind === "connecting");
      if (next) return next.at;
      await new Promise(requestAnimationFrame);
    }
  }, moment);
}

describe("the chat in a window", { timeout: 300_000 }, () => {
  let list = SEED;

  before(async () => {
    scene = await Scene.set(SEED);
    await scene.open(ALICE);
  });

  after(() => scene?.strike());

  step("first paint: the messages that were there, oldest first, and the status live", async () => {
    await scene.shows("live", SEED, 30_000);
  });

  step("a message created on the server appears at the end", async () => {
    const created = ["m6", CAROL, "Bringing coffee"];
    await scene.put(...created);
    list = [...SEED, created];
    await scene.shows("live", list);
  });

  step("a message edited on the server changes in place, in the same element", async () => {
    await scene.window.run(() => {
      globalThis.marked = document.querySelector("[data-rkey=m3]");
    });
    const edited = ["m3", CAROL, "It stays dry, says the forecast"];
    await scene.put(...edited);
    list = list.map((message) => (message[0] === "m3" ? edited : message));
    await scene.shows("live", list);
    const same = await scene.window.run(() => globalThis.marked === document.querySelector("[data-rkey=m3]"));
    assert.ok(same, "the element of the edited message was replaced");
  });

  step("a message deleted on the server disappears", async () => {
    await scene.remove("m2", BOB);
    list = list.filter(([rkey]) => rkey !== "m2");
    await scene.shows("live", list);
  });

  step("a message sent from the window arrives on the server and in the list", async () => {
    const text = "Meet you there";
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
    // The server has it, not just the window: it can be deleted there.
    await scene.remove(rkey, ALICE);
    list = list.slice(0, -1);
    await scene.shows("live", list);
  });

  step("while the server is dead the status says so and the messages stay", async () => {
    tops = await topsNow();
    // What screen readers heed is there before it has anything to say.
    await scene.window.run(() => {
      const place = document.querySelector(".list > [role=status]");
      globalThis.banner = { place };
      new MutationObserver(() => {
        const banner = place.querySelector("[data-testid=offline]");
        if (banner) globalThis.banner.visibility ??= getComputedStyle(banner).visibility;
      }).observe(place, { childList: true });
    });
    await scene.unplug();
    await scene.shows("reconnecting", list);
  });

  step(
    "a banner over the list says so in plain words, but not of a moment, and moves no message",
    async () => {
      const words = await scene.text("offline");
      assert.match(words, /No connection to the server/);
      assert.match(words, /The messages are as they were last known here/);
      assert.doesNotMatch(words, /waits? to be sent/);
      await scene.window.still();
      const seen = await scene.window.run(() => {
        const banner = document.querySelector("[data-testid=offline]");
        return {
          before: globalThis.banner.visibility,
          now: getComputedStyle(banner).visibility,
          delay: getComputedStyle(banner).animationDelay,
          same: banner.parentElement === globalThis.banner.place,
        };
      });
      assert.deepEqual(seen, { before: "hidden", now: "visible", delay: "1s", same: true });
      assert.deepEqual(await topsNow(), tops);
    },
  );

  step("a button in it tries at once, and the banner stays where that fails", async () => {
    const began = await waitsLong(2);
    await scene.click("try-now");
    assert.ok((await connectsAfter(began)) - began < 1_900, "it waited for the next attempt");
    await scene.window.until(
      "the button can be pressed again",
      () => document.querySelector("[data-testid=try-now]")?.textContent.trim() === "Try now",
    );
    await scene.shows("reconnecting", list);
  });

  step("once the server is back, what was deleted meanwhile disappears", async () => {
    list = list.filter(([rkey]) => rkey !== "m4");
    await scene.serve(list);
    await scene.shows("live", list, RECONNECT_MS);
  });

  step("the banner is gone then", async () => {
    assert.equal(await scene.window.run(() => document.querySelector("[data-testid=offline]")), null);
  });

  step("a reload shows the same list, and leaves no connection behind", async () => {
    assert.equal((await scene.appview.stats()).watches, 1, "one window keeps one connection");
    await scene.window.run(() => {
      globalThis.beforeReload = true;
    });
    await scene.window.reload();
    assert.ok(!(await scene.window.run(() => globalThis.beforeReload === true)), "it is a new page");
    await scene.shows("live", list);
    assert.equal((await scene.appview.stats()).watches, 1, "open connections after the reload");
  });

  step("a window that was reloaded still follows the server", async () => {
    const created = ["m7", BOB, "On the train now"];
    await scene.put(...created);
    list = [...list, created];
    await scene.shows("live", list);
  });
});
