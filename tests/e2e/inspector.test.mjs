// The inspector in the chat: it sees the watch, drops its connection and sees it come back, and keeps it offline.
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

/** Waits until `look` is true in the page, which is looked at once a frame: nobody tells of changes in a shadow tree. */
function until(what, look, args = [], ms = 15_000) {
  const wait = `async (...args) => {
    const look = ${look};
    const end = Date.now() + ${ms};
    for (;;) {
      const root = document.querySelector("watch-inspector")?.shadowRoot;
      const value = root && look(root, ...args);
      if (value) return value;
      if (Date.now() > end) throw new Error(${JSON.stringify(what)} + ", in vain: " + root?.querySelector(".panel").innerText);
      await new Promise(requestAnimationFrame);
    }
  }`;
  return scene.window.run(wait, ...args);
}

/** Presses a button of the inspector. */
function press(deed) {
  return until(
    `there is a button to ${deed}`,
    (root, deed) => {
      const button = root.querySelector(`[data-deed="${deed}"]`);
      button?.click();
      return button !== null;
    },
    [deed],
  );
}

/** Waits until the chosen watch has this status in the list. */
function stands(status, ms) {
  const look = (root, status) => root.querySelector("[aria-selected=true]")?.dataset.status === status;
  return until(`the watch is ${status}`, look, [status], ms);
}

/** The timeline, the newest first, as [kind, words]. */
function timeline() {
  return until("there is a timeline", (root) => {
    const rows = [...root.querySelectorAll(".timeline li")];
    return rows.map((row) => [row.dataset.kind, row.querySelector(".words").textContent]);
  });
}

/** Presses Ctrl+Shift+L. */
function shortcut() {
  return scene.window.run(() => {
    const key = { key: "L", ctrlKey: true, shiftKey: true, bubbles: true, cancelable: true };
    document.activeElement.dispatchEvent(new KeyboardEvent("keydown", key));
  });
}

for (const scheme of ["light", "dark"]) {
  describe(`the inspector, ${scheme}`, { timeout: 300_000 }, () => {
    before(async () => {
      scene = await Scene.set(SEED);
      await scene.open(ALICE, scheme === "dark" ? { GTK_THEME: "Adwaita:dark" } : {});
      await scene.shows("live", SEED, 30_000);
    });

    after(() => scene?.strike());

    step(`${scheme}: opens by its button and shows the watch live`, async () => {
      await scene.click("inspect");
      await stands("live", 30_000);
      const words = await until("its figures are there", (root) => {
        const facts = [...root.querySelectorAll(".fact:not([hidden])")];
        return facts.length > 0 && facts.map((fact) => fact.innerText.replaceAll(/\s+/g, " "));
      });
      const has = (fact) =>
        assert.ok(
          words.some((it) => fact.test(it)),
          `${fact}: ${words.join("\n")}`,
        );
      has(/^Status live/);
      has(/^Transport auto → (SSE|WebSocket)/);
      has(/^Shown 3/);
      has(/^Followers main/);
      has(/^Ticket held, .* left/);
      has(/^Space ats:\/\//);
      assert.ok(!words.join().includes("ticket="));
      const focused = await until("the list has the keyboard", (root) => root.activeElement?.className);
      assert.equal(focused, "watches");
      const colour = await until(
        "it has colours",
        (root) => getComputedStyle(root.querySelector(".panel")).backgroundColor,
      );
      assert.equal(colour, scheme === "dark" ? "rgb(23, 26, 33)" : "rgb(251, 252, 254)");
    });

    step(`${scheme}: logs what comes in`, async () => {
      for (let n = 0; n < 12; n += 1) await scene.put(`m${30 + n}`, BOB, `Kilometre ${n + 1}, still dry`);
      const logged = (root) => root.querySelectorAll(".log li[data-kind=created]").length >= 12;
      await until("twelve messages are logged", logged);
    });

    step(`${scheme}: drops the connection, and tells why it went and that it is back`, async () => {
      const before = await timeline();
      await press("drop");
      await until("it is on the timeline", (root) => root.querySelector(".timeline [data-kind=failed]"));
      const isBack = (root, before) =>
        root.querySelectorAll(".timeline li").length >= before + 5 &&
        root.querySelector(".timeline li").dataset.kind === "live";
      await until("it is live again", isBack, [before.length], RECONNECT_MS);
      await stands("live");
      const news = (await timeline()).slice(0, -before.length).reverse();
      assert.match(news.find(([kind]) => kind === "failed")[1], /dropped on purpose/);
      const kinds = news.map(([kind]) => kind).filter((kind) => kind !== "fallback");
      assert.deepEqual(kinds, ["failed", "waiting", "connecting", "connected", "live"]);
    });

    step(`${scheme}: draws how many events there were in each second`, async () => {
      for (let n = 0; n < 4; n += 1) await scene.put(`m${50 + n}`, CAROL, `Stop ${n + 1}`);
      const moves = (root) =>
        root.querySelector(".sparkline .line").getAttribute("points").split(" ").length > 5;
      await until("there is a line of events", moves);
    });

    step(`${scheme}: keeps the watch offline until it is online again`, async () => {
      await press("offline");
      await stands("reconnecting");
      const shown = (status) => document.querySelector("[data-testid=status]")?.dataset.status === status;
      await scene.window.until("the chat says so", shown, ["reconnecting"]);
      // A page that comes to the front wakes watches: not these.
      await scene.window.run(() =>
        globalThis.__TAURI_INTERNALS__.invoke("plugin:contrail-sync|wake_watches"),
      );
      await until("the button is to go online", (root) => root.querySelector("[data-deed=offline][data-on]"));
      await stands("reconnecting");
      await press("offline");
      await stands("live", RECONNECT_MS);
      await scene.window.until("the chat says so", shown, ["live"]);
    });

    step(`${scheme}: closes by Escape, and opens and closes by its keys`, async () => {
      const escape = () => {
        const root = document.querySelector("watch-inspector").shadowRoot;
        const key = { key: "Escape", bubbles: true, composed: true };
        root.activeElement.dispatchEvent(new KeyboardEvent("keydown", key));
      };
      await until("it has the keyboard", (root) => {
        root.host.focus();
        return root.activeElement;
      });
      await scene.window.run(escape);
      const gone = () => !document.querySelector("watch-inspector");
      await scene.window.until("it is gone", gone);
      await shortcut();
      await stands("live");
      await shortcut();
      await scene.window.until("it is gone", gone);
    });
  });
}
