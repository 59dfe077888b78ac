// @vitest-environment node
import { expect, test, vi } from "vitest";
import { settled } from "./testing/until.js";

test("a server can import the package and make a store; starting it says that Tauri is missing", async () => {
  expect(globalThis).not.toHaveProperty("window");
  const { createWatchStore, WatchError } = await import("./index.js");
  const printed = vi.spyOn(console, "error").mockReturnValue();
  const store = createWatchStore({ url: "/watch" });
  const listener = vi.fn();
  store.subscribe(listener);
  store.start();
  expect(store.status).toBe("closed");
  expect(store.error).toBeInstanceOf(WatchError);
  expect(store.error?.kind).toBe("not-tauri");
  expect(printed).toHaveBeenCalledExactlyOnceWith(
    "contrail-sync: the store of /watch is closed",
    store.error,
  );
  expect(listener.mock.lastCall?.[0]).toMatchObject({ status: "closed", records: [] });
  await expect(store.ready).rejects.toBe(store.error);
  store.stop();
  store.destroy();
});

test("a server's store takes edits and cannot load more, without throwing", async () => {
  const { createWatchStore } = await import("./index.js");
  const warn = vi.fn();
  const store = createWatchStore({ url: "/watch", logger: { warn } });
  const edit = () => {
    store.addOptimistic({ rkey: "a", did: "did:plc:alice", value: { text: "hi" } });
    store.markFailed("a", new Error("offline"));
    store.removeOptimistic("a");
  };
  edit();
  await expect(store.loadMore()).rejects.toMatchObject({ name: "WatchError", kind: "stopped" });
  store.start();
  edit();
  await expect(store.loadMore()).rejects.toMatchObject({ name: "WatchError", kind: "not-tauri" });
  expect([store.status, store.records, store.hasMore]).toEqual(["closed", [], false]);
  expect(warn).not.toHaveBeenCalled();
  store.destroy();
});

test("secrets and tickets are nobody's to keep or forget on a server", async () => {
  const { clearTickets, deleteSecret, setSecret } = await import("./index.js");
  for (const call of [() => setSecret("api", "s"), () => deleteSecret("api"), clearTickets]) {
    await expect(call()).rejects.toMatchObject({ name: "WatchError", kind: "not-tauri" });
  }
});

test("a server has no cache to ask or clear, and no warnings to wait for", async () => {
  const { cacheInfo, clearCache, onCacheWarning } = await import("./index.js");
  for (const call of [cacheInfo, () => clearCache(), () => clearCache({ account: "did:plc:alice" })]) {
    await expect(call()).rejects.toMatchObject({ name: "WatchError", kind: "not-tauri" });
  }
  const reported = vi.spyOn(console, "error").mockReturnValue();
  const unlisten = onCacheWarning(vi.fn());
  expect(unlisten()).toBeUndefined();
  await settled();
  expect(reported).not.toHaveBeenCalled();
});

test("a server can import the inspector, which it has no page for", async () => {
  const { openInspector, WatchInspector } = await import("./inspector.js");
  expect([typeof openInspector, typeof WatchInspector]).toEqual(["function", "function"]);
});

test("a server can import the fake for tests, which says that it needs a page", async () => {
  const { fakeContrailSync } = await import("./testing.js");
  expect(() => fakeContrailSync()).toThrow("needs a page");
});
