import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { FakePlugin } from "./testing/fake-plugin.js";
import { Page } from "./testing/page.js";
import { record, texts } from "./testing/records.js";
import { gate, settled } from "./testing/until.js";

let page: Page;
let plugin: FakePlugin;

beforeEach(async () => {
  page = await Page.open();
  plugin = page.plugin;
  Object.assign(plugin, { cursor: "more", older: [record("o1"), record("o2"), record("o3")] });
});
afterEach(() => page.close());

describe("hasMore", () => {
  test("is false before anything is known, then whether there is a cursor", async () => {
    const store = page.make();
    expect(store.hasMore).toBe(false);
    store.start();
    await store.ready;
    expect(store.hasMore).toBe(true);
    await plugin.push({ cursor: null });
    expect(store.hasMore).toBe(false);
  });

  test("is told to those who subscribed, with the cursor, when either changes", async () => {
    const store = await page.started();
    const seen: unknown[] = [];
    store.subscribe(({ hasMore, cursor }) => seen.push([hasMore, cursor]));
    await plugin.push({ cursor: "less" });
    await plugin.caughtUp();
    await plugin.push({ cursor: null });
    expect(seen).toEqual([
      [true, "more"],
      [true, "less"],
      [false, null],
    ]);
  });

  test.each([
    [3, true],
    [2, false],
    [1, false],
  ])("knows that no more than maxRecords (%i) can come", async (maxRecords, more) => {
    const store = await page.started({ maxRecords });
    expect(store.hasMore).toBe(more);
  });
});

describe("loadMore", () => {
  test.each([Infinity, 1])("is fulfilled once the older records show, in parts of %d", async (chunk) => {
    plugin.chunk = chunk;
    const store = await page.started();
    await store.loadMore();
    expect(texts(store.records)).toEqual(["b v0", "a v0", "o1 v0", "o2 v0"]);
    expect(store.hasMore).toBe(true);
    await store.loadMore();
    expect(texts(store.records)).toEqual(["b v0", "a v0", "o1 v0", "o2 v0", "o3 v0"]);
    expect([store.hasMore, store.cursor]).toEqual([false, null]);
  });

  test("is not fulfilled before they show", async () => {
    const store = await page.started();
    const tampered = gate();
    plugin.tamper = () => (tampered.open(), null);
    let done = false;
    void store.loadMore().then(() => (done = true));
    await tampered.opened;
    await settled();
    expect(done).toBe(false);
    plugin.tamper = (payload) => payload;
    page.comeBack();
    await vi.waitFor(() => expect(done).toBe(true));
    expect(store.records).toHaveLength(4);
  });

  test("gives the same promise while one runs, and asks once", async () => {
    const store = await page.started();
    const loading = store.loadMore();
    expect(store.loadMore()).toBe(loading);
    await loading;
    expect(plugin.handles("load_more")).toEqual([1]);
    const next = store.loadMore();
    expect(next).not.toBe(loading);
    await next;
  });

  test("waits for a watch that is opening", async () => {
    const answer = gate();
    plugin.intercept = ({ command }) => (command === "open_watch" ? answer.opened : undefined);
    const store = page.make();
    store.start();
    const loading = store.loadMore();
    await vi.waitFor(() => expect(plugin.handles("open_watch")).toEqual([1]));
    answer.open();
    await loading;
    expect(store.records).toHaveLength(4);
  });

  test("asks again when Rust forgot the watch meanwhile", async () => {
    const store = await page.started();
    const answer = gate();
    plugin.intercept = ({ command, handle }) =>
      command === "load_more" && handle === 1 ? answer.opened.then(() => 500) : undefined;
    const loading = store.loadMore();
    await settled();
    // The answer belongs to the forgotten handle, whose revisions mean nothing for the new one.
    plugin.forget();
    page.comeBack();
    await vi.waitFor(() => expect(plugin.opens.has(2)).toBe(true));
    answer.open();
    await loading;
    expect(plugin.handles("load_more")).toEqual([1, 2]);
  });

  test("is fulfilled by a state that tells everything at a lower revision", async () => {
    const store = await page.started();
    const { invoke } = window.__TAURI_INTERNALS__;
    window.__TAURI_INTERNALS__.invoke = async (name: string, args: unknown) => {
      const answer = await invoke(name, args);
      if (name.endsWith("watch_state")) (answer as { rev: number }).rev = plugin.opens.get(1)!.rev = 1;
      return answer;
    };
    const lost = gate();
    plugin.tamper = () => (lost.open(), null);
    const loading = store.loadMore();
    await lost.opened;
    await settled();
    plugin.tamper = (payload) => payload;
    page.comeBack();
    await loading;
    expect(store.records).toHaveLength(4);
  });

  test("is fulfilled by the rest of a state that comes in parts", async () => {
    plugin.chunk = 1;
    const store = await page.started();
    await plugin.caughtUp();
    const lost = gate();
    plugin.tamper = () => (lost.open(), null);
    const loading = store.loadMore();
    await lost.opened;
    await settled();
    plugin.tamper = (payload) => payload;
    page.comeBack();
    await loading;
    expect(texts(store.records)).toEqual(["b v0", "a v0", "o1 v0", "o2 v0"]);
  });

  test("opens a watch that Rust has forgotten again, then asks once more", async () => {
    const store = await page.started();
    plugin.forget();
    await store.loadMore();
    expect(plugin.handles("load_more")).toEqual([1, 2]);
    expect(store.records).toHaveLength(4);
  });

  test("asks an open watch that says it does not know it twice, no more", async () => {
    const store = await page.started();
    plugin.intercept = ({ command }) => {
      if (command === "load_more") throw { kind: "unknown-watch", message: "no such handle" };
    };
    await expect(store.loadMore()).rejects.toMatchObject({ kind: "unknown-watch" });
    expect(plugin.handles("load_more")).toEqual([1, 1]);
  });

  test("is rejected with what Rust says, and can be called again", async () => {
    const store = await page.started();
    plugin.intercept = ({ command }) => {
      if (command === "load_more") throw { kind: "http-status", message: "the server answered 503" };
    };
    await expect(store.loadMore()).rejects.toMatchObject({ name: "WatchError", kind: "http-status" });
    expect([store.status, store.error]).toEqual(["live", null]);
    plugin.intercept = () => undefined;
    await store.loadMore();
    expect(store.records).toHaveLength(4);
  });

  test.each(["stop", "destroy"] as const)("is rejected as stopped by %s()", async (how) => {
    const store = await page.started();
    plugin.intercept = ({ command }) => (command === "load_more" ? gate().opened : undefined);
    const loading = store.loadMore();
    await settled();
    store[how]();
    await expect(loading).rejects.toMatchObject({ name: "WatchError", kind: "stopped" });
  });

  test("is rejected as stopped by a store that was not started", async () => {
    await expect(page.make().loadMore()).rejects.toMatchObject({ kind: "stopped" });
    expect(plugin.calls).toEqual([]);
  });

  test("is rejected with what closed the watch", async () => {
    const store = await page.started();
    plugin.intercept = ({ command }) => (command === "load_more" ? gate().opened : undefined);
    const loading = store.loadMore();
    await plugin.push({
      status: "closed",
      error: { kind: "access-lost", message: "no member" },
      records: [],
    });
    await expect(loading).rejects.toMatchObject({ kind: "access-lost" });
    await expect(store.loadMore()).rejects.toMatchObject({ kind: "access-lost" });
  });
});

describe("refresh", () => {
  test.each([Infinity, 1])(
    "is fulfilled once what the server has by now shows, in parts of %d",
    async (chunk) => {
      plugin.chunk = chunk;
      const store = await page.started();
      plugin.unseen = [record("new"), record("b"), record("a")];
      await store.refresh();
      expect(texts(store.records)).toEqual(["new v0", "b v0", "a v0"]);
      // Nothing new is as true.
      await store.refresh();
      expect(store.status).toBe("live");
    },
  );

  test("and loadMore do not wait for one another", async () => {
    const store = await page.started();
    plugin.unseen = [record("new"), ...plugin.records];
    await Promise.all([store.refresh(), store.loadMore(), store.refresh()]);
    expect(texts(store.records)).toContain("o1 v0");
  });

  test("is rejected with why the list could not be had, and where the store is stopped", async () => {
    const store = page.make();
    await expect(store.refresh()).rejects.toMatchObject({ kind: "stopped" });
    store.start();
    await store.ready;
    plugin.intercept = ({ command }) => {
      if (command === "refresh_watch") throw { kind: "http-status", message: "503" };
    };
    await expect(store.refresh()).rejects.toMatchObject({ kind: "http-status" });
    const stopping = gate();
    plugin.intercept = ({ command }) => (command === "refresh_watch" ? stopping.opened : undefined);
    const refreshed = store.refresh();
    store.stop();
    await expect(refreshed).rejects.toMatchObject({ kind: "stopped" });
    stopping.open();
  });
});
