// A public list of an appview that has no streams, as today's have none, in two real windows of one app.
import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe } from "node:test";
import { Appview, Door } from "./appview.mjs";
import { ALICE, APPVIEW, homes, step as stepOf, TARGET } from "./scene.mjs";
import { Window } from "./webdriver.mjs";

const GALLERY = process.env.E2E_GALLERY ?? join(TARGET, "debug/gallery");
const ARTIFACTS = process.env.E2E_ARTIFACTS ?? join(TARGET, "e2e");

describe("a list without a stream", { timeout: 180_000 }, () => {
  const scene = {};
  const step = (promise, run) => stepOf(() => scene, promise, run);
  const door = new Door();
  let appview, folder, handles;
  /** Notes are [rkey, text], in the order in which they were last written. */
  let notes = [];

  const control = (call, rkey, more) =>
    appview.control(call, { collection: "message", did: ALICE, rkey, ...more });

  async function put(rkey, text) {
    await control("put", rkey, { record: { text } });
    notes = [...notes.filter((note) => note[0] !== rkey), [rkey, text]];
  }

  async function open(count) {
    const env = { ...homes(folder), GALLERY_APPVIEW: door.url, GALLERY_QUERY: `actor=${ALICE}` };
    scene.window = await Window.open(GALLERY, env, { args: count === 1 ? ["react"] : [] });
    handles = {};
    for (const handle of await scene.window.handles(count)) {
      await scene.window.go(handle);
      const name = () => document.querySelector("ol") && document.body.className;
      handles[await scene.window.until("the page has loaded", name)] = handle;
    }
  }

  /** Waits until the window shows exactly the notes, newest first, in one of these states. */
  async function shows(...statuses) {
    await scene.window.until(
      `the list shows ${JSON.stringify(notes.toReversed())}`,
      (wanted, statuses) => {
        const list = document.querySelector("ol");
        const text = (row) =>
          [...row.childNodes].map((node) => (node.nodeType === 3 ? node.data : "")).join("");
        const shown = [...list.querySelectorAll("li")].map((row) => [row.id, text(row).trim()]);
        return statuses.includes(list.dataset.status) && JSON.stringify(shown) === JSON.stringify(wanted);
      },
      [notes.toReversed(), statuses.length > 0 ? statuses : ["live"]],
    );
  }

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "contrail-e2e-"));
    appview = await Appview.start(APPVIEW, ["--contrail", "0.19"]);
    await door.open(appview.port);
    await put("n1", "Tent, sleeps three");
    await put("n2", "Stove and two cartridges");
    await open(4);
  });

  after(async () => {
    await scene.window?.close();
    await door.shut();
    await appview?.stop("SIGTERM");
    await rm(folder, { recursive: true });
  });

  step("it shows in every window", async () => {
    for (const handle of Object.values(handles)) {
      await scene.window.go(handle);
      await shows();
      await scene.window.run(() => {
        const list = document.querySelector("ol");
        globalThis.statuses = [];
        const note = () => list.dataset.status === "live" || globalThis.statuses.push(list.dataset.status);
        new MutationObserver(note).observe(list, { attributes: true });
      });
    }
  });

  step("what is created, edited and deleted shows in each, live all the while", async () => {
    await put("n3", "Filter for the lake");
    await scene.window.go(handles.react);
    await shows();
    await put("n1", "Tent, sleeps two");
    await shows();
    await control("delete", "n2");
    notes = notes.filter(([rkey]) => rkey !== "n2");
    for (const handle of Object.values(handles)) {
      await scene.window.go(handle);
      await shows();
      assert.deepEqual(await scene.window.run(() => globalThis.statuses), []);
    }
  });

  step("one look at the appview serves all four windows", async () => {
    const before = await appview.stats();
    await put("n4", "Cake for up there 🍰");
    await shows();
    const { lists, positions } = await appview.stats();
    assert.ok(lists - before.lists <= 2, `${lists - before.lists} lists`);
    assert.ok(positions - before.positions <= 4, `${positions - before.positions} looks`);
    await mkdir(ARTIFACTS, { recursive: true });
    await writeFile(join(ARTIFACTS, "lists.png"), await scene.window.screenshot());
  });

  step("the next start shows it without the network, and goes on with it", async () => {
    await scene.window.close();
    await door.shut();
    const port = appview.port;
    await open(1);
    await shows("connecting", "reconnecting");
    await door.open(port);
    await put("n5", "Train back at 18:42");
    await shows();
  });
});
