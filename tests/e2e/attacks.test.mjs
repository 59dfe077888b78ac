// A page of somebody else's in the app's own window: what it may call and hear, which is nothing.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, describe } from "node:test";
import { ALICE, BOB, Scene, step as stepOf } from "./scene.mjs";

const SEED = [["m1", ALICE, "Which trail shall we take?"]];
const COMMANDS = [
  "open_watch",
  "watch_state",
  "ack_watch",
  "edit_watch",
  "load_more",
  "refresh_watch",
  "renew_session",
  "wake_watches",
  "clear_tickets",
  "clear_cache",
  "cache_info",
  "set_secret",
];

/** A page that takes whatever is sent to its webview, of whatever name, and frames the app. */
const EVIL = `<!doctype html><title>evil</title><iframe src="tauri://localhost/"></iframe><script>
  window.heard = [];
  const taken = window.__TAURI_INTERNALS__?.transformCallback((event) => window.heard.push(event)) ?? 0;
  const any = new Proxy({}, { get: () => ({ handlerId: taken }) });
  const names = ["__internal_unstable_listeners_object_id__", "_listeners"];
  for (const name of names) window[name] = new Proxy({}, { get: () => any });
</script>`;

describe("a page of somebody else's", { timeout: 120_000 }, () => {
  let scene, evil;
  const step = (promise, run) => stepOf(() => scene, promise, run);

  before(async () => {
    evil = createServer((_, answer) => answer.setHeader("content-type", "text/html").end(EVIL));
    await once(evil.listen(0, "127.0.0.1"), "listening");
    scene = await Scene.set(SEED);
    await scene.open(ALICE);
    await scene.shows("live", SEED, 30_000);
  });

  after(async () => {
    await scene?.strike();
    evil.close();
  });

  step("takes the place of the app's, and the app's watch with it", async () => {
    await scene.window.run((url) => {
      location.href = url;
    }, `http://127.0.0.1:${evil.address().port}/`);
    await scene.window.until("it has loaded", () => document.title === "evil");
  });

  step("hears nothing of what the app's page followed", async () => {
    await scene.put("m2", BOB, "Only for those who may read it");
    // The connection lingers, then goes with the watch that nobody follows.
    const end = Date.now() + 30_000;
    while ((await scene.appview.stats()).watches > 0) {
      assert.ok(Date.now() < end, "the watch goes on for a page that is gone");
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.deepEqual(await scene.window.run(() => window.heard), []);
  });

  step("can call no command, by whatever way", async () => {
    const refused = await scene.window.run(async (commands) => {
      const args = { session: "0c8f5a3e-9f6d-4b1a-8c2d-0123456789ab", handle: 1, rev: 1, nonce: 1 };
      const all = { ...args, options: { url: "/xrpc/x.y.watchRecords" }, edit: {}, name: "x", value: "x" };
      const outcomes = [];
      for (const command of commands) {
        const name = `plugin:contrail-sync|${command}`;
        const call = window.__TAURI_INTERNALS__?.invoke(name, all) ?? Promise.reject("no way to call");
        const denied = (reason) => !(reason?.kind ?? "").length && String(reason?.message ?? reason);
        outcomes.push([command, await call.then(() => "it was done", denied)]);
        const response = await fetch(`ipc://localhost/${encodeURIComponent(name)}`, {
          method: "POST",
          headers: { "content-type": "application/json", "Tauri-Callback": "1", "Tauri-Error": "2" },
          body: JSON.stringify(all),
        }).catch((error) => error);
        outcomes.push([command, response.ok ? "it was done" : "not allowed by fetch"]);
      }
      return outcomes;
    }, COMMANDS);
    for (const [command, outcome] of refused) {
      assert.match(String(outcome), /not allowed|no way to call/, command);
    }
    assert.equal((await scene.appview.stats()).connects, 1, "nobody connected anew");
  });

  step("cannot reach into the app that it frames", async () => {
    const reached = await scene.window.run(() => {
      try {
        return String(document.querySelector("iframe").contentWindow.document.body.textContent);
      } catch (error) {
        return error.name;
      }
    });
    assert.match(reached, /SecurityError|TypeError/);
  });
});
