// What every binding promises, kept by the real frameworks.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import type { WatchOptions } from "./bindings/WatchOptions.js";
import type { StoreSource } from "./follow.js";
import { createWatchStore } from "./store.js";
import { FakePlugin } from "./testing/fake-plugin.js";
import type { Body, Show } from "./testing/lists/shown.js";
import * as react from "./testing/lists/react.js";
import * as solid from "./testing/lists/solid.js";
import * as svelte from "./testing/lists/svelte.svelte.js";
import * as vue from "./testing/lists/vue.js";
import { record } from "./testing/records.js";
import { settled } from "./testing/until.js";

const FRAMEWORKS: [string, Show, { twice: boolean }][] = [
  ["react", react.show, { twice: false }],
  // Which renders everything twice.
  ["react, in StrictMode", react.showStrictly, { twice: true }],
  ["svelte", svelte.show, { twice: false }],
  ["vue", vue.show, { twice: false }],
  ["solid", solid.show, { twice: false }],
];

// One for all tests, because the page has one session.
const plugin = new FakePlugin();
beforeAll(() => plugin.install());
afterAll(() => FakePlugin.uninstall());

beforeEach(() => {
  plugin.calls.length = 0;
  plugin.status = "live";
  plugin.records = [record("m1"), record("m2"), record("m3")];
  Object.assign(plugin, { cursor: null, older: [] });
});

const soon = (assertion: () => unknown) => vi.waitFor(assertion, { interval: 2 });

const close = () => plugin.push({ status: "closed", error: { kind: "connect", message: "nobody listens" } });

/** Takes every list from the page. */
const clear: (() => unknown)[] = [];
afterEach(async () => {
  for (const unmount of clear.splice(0)) await unmount();
  await soon(() => expect(plugin.opens.size).toBe(0));
});

const store = () => createWatchStore<Body>({ url: "/watch", logger: {} });
const opened = () => plugin.handles("open_watch").length;
const closed = () => plugin.handles("close_watch").length;

function place(show: Show, source: StoreSource<Body>, rendered: (rkey: string) => void = () => {}) {
  const target = document.createElement("div");
  document.body.append(target);
  const shown = show(target, { source, rendered });
  clear.push(async () => {
    await shown.repeat(0);
    target.remove();
  });
  return { target, ...shown };
}

describe.each(FRAMEWORKS)("in %s", (_name, show, { twice }) => {
  let rows: string[];

  /** A list in the page that shows `source`. */
  function open(source: StoreSource<Body> = store()) {
    rows = [];
    const list = place(show, source, (rkey) => rows.push(rkey));
    const texts = () => [...list.target.querySelectorAll("output, li")].map((it) => it.textContent);
    return { ...list, shows: (wanted: string[]) => soon(() => expect(texts()).toEqual(wanted)) };
  }

  test("the records show, then what is new, in order", async () => {
    const { shows } = open();
    await shows(["live", "m1 v0", "m2 v0", "m3 v0"]);
    await plugin.push({ records: [record("m4"), record("m1"), record("m3")], status: "reconnecting" });
    await shows(["reconnecting", "m4 v0", "m1 v0", "m3 v0"]);
  });

  test("a change renders the rows that changed, and no other", async () => {
    const { shows } = open();
    await shows(["live", "m1 v0", "m2 v0", "m3 v0"]);
    expect(new Set(rows)).toEqual(new Set(["m1", "m2", "m3"]));
    expect(rows).toHaveLength(twice ? 6 : 3);
    rows.length = 0;
    await plugin.push({ records: [record("m1"), record("m2", 1), record("m3")] });
    await shows(["live", "m1 v0", "m2 v1", "m3 v0"]);
    expect(rows).toEqual(twice ? ["m2", "m2"] : ["m2"]);
    rows.length = 0;
    await plugin.push({ status: "reconnecting" });
    await shows(["reconnecting", "m1 v0", "m2 v1", "m3 v0"]);
    await plugin.push({ records: [record("m2", 1), record("m3")] });
    await shows(["reconnecting", "m2 v1", "m3 v0"]);
    expect(rows).toEqual([]);
  });

  test("older records are loaded at the press of a button that shows while there are some", async () => {
    Object.assign(plugin, { cursor: "before m3", older: [record("o1"), record("o2"), record("o3")] });
    const { shows, target } = open();
    const button = () => target.querySelector("button");
    await shows(["live", "m1 v0", "m2 v0", "m3 v0"]);
    await soon(() => expect(button()?.textContent).toBe("before m3"));
    button()!.click();
    await shows(["live", "m1 v0", "m2 v0", "m3 v0", "o1 v0", "o2 v0"]);
    await soon(() => expect(button()?.textContent).toBe("1 left"));
    button()!.click();
    await shows(["live", "m1 v0", "m2 v0", "m3 v0", "o1 v0", "o2 v0", "o3 v0"]);
    await soon(() => expect(button()).toBeNull());
    await plugin.push({ cursor: "once more" });
    await soon(() => expect(button()?.textContent).toBe("once more"));
  });

  test("one watch for all who show a store, from the first to after the last", async () => {
    const { repeat, shows } = open();
    await shows(["live", "m1 v0", "m2 v0", "m3 v0"]);
    await repeat(3);
    const one = ["live", "m1 v0", "m2 v0", "m3 v0"];
    await shows([...one, ...one, ...one]);
    await repeat(1);
    await shows(one);
    await settled();
    expect([opened(), closed()]).toEqual([1, 0]);
    await repeat(0);
    await soon(() => expect(closed()).toBe(1));
    await repeat(1);
    await shows(one);
    expect([opened(), closed()]).toEqual([2, 1]);
  });

  test("who unmounts and mounts in one tick neither stops nor starts the store", async () => {
    const { repeat, shows } = open();
    await shows(["live", "m1 v0", "m2 v0", "m3 v0"]);
    await repeat(0);
    await repeat(1);
    await shows(["live", "m1 v0", "m2 v0", "m3 v0"]);
    await settled();
    expect([opened(), closed()]).toEqual([1, 0]);
  });

  test("a store that is closed is started again by a component that takes the place of the only one", async () => {
    const { renew, shows } = open();
    await shows(["live", "m1 v0", "m2 v0", "m3 v0"]);
    await close();
    await shows(["closed", "m1 v0", "m2 v0", "m3 v0"]);
    plugin.status = "live";
    await renew();
    await shows(["live", "m1 v0", "m2 v0", "m3 v0"]);
    expect(opened()).toBe(2);
  });

  test("a component that takes the place of another does not start a store that a third one shows closed", async () => {
    const shared = store();
    const [parent, child] = [place(show, shared), place(show, shared)];
    await soon(() => expect(shared.status).toBe("live"));
    await close();
    for (const { target } of [parent, child])
      await soon(() => expect(target.textContent).toMatch(/^\s*closed/));
    await child.renew();
    await settled();
    await soon(() => expect(child.target.textContent).toMatch(/^\s*closed/));
    expect([shared.status, opened()]).toEqual(["closed", 1]);
  });

  test("a store that closes again and again is not started without end", async () => {
    const { renew, shows } = open();
    await shows(["live", "m1 v0", "m2 v0", "m3 v0"]);
    await close();
    for (let n = 0; n < 20; n++) {
      await renew();
      await shows(["closed", "m1 v0", "m2 v0", "m3 v0"]);
    }
    expect(opened()).toBe(6);
  });

  test("a store that the app started is left as it is", async () => {
    const started = store();
    started.start();
    const { repeat, shows } = open(started);
    await shows(["live", "m1 v0", "m2 v0", "m3 v0"]);
    await repeat(0);
    await settled();
    await settled();
    expect([opened(), closed(), started.status]).toEqual([1, 0, "live"]);
    started.stop();
  });

  test("a live store shows its records at the first paint", async () => {
    const started = store();
    started.start();
    await started.ready;
    const { target } = open(started);
    expect(target.textContent.replaceAll(/\s/g, "")).toBe("livem1v0m2v0m3v0");
    started.stop();
  });

  test("a component can make its store; there is one watch of it", async () => {
    const { repeat, shows } = open(() => store());
    await shows(["live", "m1 v0", "m2 v0", "m3 v0"]);
    expect(opened()).toBe(1);
    await repeat(0);
    await soon(() => expect(closed()).toBe(1));
  });

  test("another store takes the place of the first, which is stopped", async () => {
    const { change, shows } = open();
    await shows(["live", "m1 v0", "m2 v0", "m3 v0"]);
    await change(() => createWatchStore({ url: "/other" }));
    await shows(["live", "m1 v0", "m2 v0", "m3 v0"]);
    const urls = plugin.calls.flatMap(({ args }) => (args["options"] as WatchOptions | undefined)?.url ?? []);
    expect(urls).toEqual(["/watch", "/other"]);
    await soon(() => expect([...plugin.opens.keys()]).toEqual(plugin.handles("open_watch").slice(1)));
    await change(null);
    await shows(["idle"]);
    await soon(() => expect(plugin.opens.size).toBe(0));
  });

  test("where there is no store nothing is watched", async () => {
    const { shows } = open(null);
    await shows(["idle"]);
    await settled();
    expect(plugin.calls).toEqual([]);
  });
});

test("a store that several frameworks show is one watch until the last of them is gone", async () => {
  const shared = store();
  const lists = FRAMEWORKS.map(([, show]) => place(show, shared));
  for (const { target } of lists) {
    await soon(() => expect(target.querySelectorAll("li")).toHaveLength(3));
  }
  for (const { repeat } of lists) {
    expect([opened(), closed()]).toEqual([1, 0]);
    await repeat(0);
    await settled();
  }
  await soon(() => expect(closed()).toBe(1));
});
