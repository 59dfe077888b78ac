import { emit } from "@tauri-apps/api/event";
import { afterEach, beforeEach, describe, expect, expectTypeOf, test, vi } from "vitest";
import {
  cacheInfo,
  type CacheInfo,
  type CacheWarning,
  clearCache,
  createSqliteCache,
  onCacheWarning,
  type WatchStoreOptions,
} from "./index.js";
import { FakePlugin } from "./testing/fake-plugin.js";
import { gate, settled } from "./testing/until.js";

const EVENT = "contrail-sync://cache-warning";
const full: CacheWarning = { seq: 1, kind: "disk-full", message: "the disk is full" };
const restored: CacheWarning = { seq: 2, kind: "restored", message: "the file can be used again" };

let plugin: FakePlugin;
const reported = vi.fn();

beforeEach(() => {
  plugin = new FakePlugin();
  plugin.install();
  reported.mockReset();
  vi.stubGlobal("reportError", reported);
});
afterEach(() => {
  FakePlugin.uninstall();
  vi.unstubAllGlobals();
});

const made = () => plugin.calls.map(({ command, args }) => [command, args]);
const warn = (warning: CacheWarning) => emit(EVENT, JSON.stringify(warning));

/** Which of Tauri's own `listen` and `unlisten` are called from here on; `before` may hold one back or let it fail. */
function watchListening(before: (command: string) => unknown = () => undefined): string[] {
  const { invoke } = window.__TAURI_INTERNALS__;
  const seen: string[] = [];
  window.__TAURI_INTERNALS__.invoke = async (name: string, args: { event?: string }) => {
    const command = name.replace("plugin:event|", "");
    if (args.event === EVENT && command !== "emit") {
      seen.push(command);
      await before(command);
    }
    return invoke(name, args);
  };
  return seen;
}

describe("clearCache", () => {
  test("clears one key, one account, both at once, or everything", async () => {
    const account = "did:plc:alice";
    expect(await clearCache()).toBeUndefined();
    await clearCache({ key: "k" });
    await clearCache({ account });
    await clearCache({ key: "k", account });
    expect(made()).toEqual([
      ["clear_cache", {}],
      ["clear_cache", { key: "k" }],
      ["clear_cache", { account }],
      ["clear_cache", { key: "k", account }],
    ]);
  });

  test.each([
    ["did:plc:alice", "not String"],
    [null, "not Null"],
    [undefined, "not Undefined"],
    [{ did: "did:plc:alice" }, '"did" is unknown'],
    [{ account: null }, "account is Null"],
    [{ account: undefined }, "account is Undefined"],
    [{ key: "k", account: undefined }, "account is Undefined"],
    [{ key: undefined }, "key is Undefined"],
    [{ key: 5 }, "key is Number"],
    [{ key: "" }, "key is empty"],
  ])("refuses %j, which would clear more than was meant: %s", async (which, why) => {
    const refused = expect.objectContaining({
      kind: "invalid-options",
      message: expect.stringContaining(why),
    });
    await expect(clearCache(which as never)).rejects.toEqual(refused);
    expect(made()).toEqual([]);
  });
});

test("clearCache does not take an account that may be undefined", () => {
  const session = null as { did: string } | null;
  // @ts-expect-error without a session it would clear the cache of all accounts
  void (() => clearCache({ account: session?.did }));
});

describe("cacheInfo", () => {
  test("tells what the cache holds, and null where the app has none", async () => {
    expect(await cacheInfo()).toBeNull();
    plugin.cacheInfo = {
      rows: 200,
      bytes: 262144,
      watches: 1,
      oldestSync: 1_700_000_000_000,
      newestSync: 1_700_000_000_000,
      memoryOnly: false,
    };
    expect(await cacheInfo()).toEqual(plugin.cacheInfo);
    expectTypeOf(cacheInfo).returns.resolves.toEqualTypeOf<CacheInfo | null>();
  });
});

test.each([
  ["the plugin's refusal", { kind: "cache", message: "the cache was not cleared" }, "cache"],
  ["a missing permission", "contrail-sync.clear_cache not allowed", "ipc"],
])("%s is a WatchError", async (_, thrown, kind) => {
  plugin.intercept = () => {
    throw thrown;
  };
  for (const call of [() => clearCache(), cacheInfo]) {
    await expect(call()).rejects.toMatchObject({ name: "WatchError", kind });
  }
});

describe("onCacheWarning", () => {
  test("tells of each warning until it is ended, and ends once", async () => {
    const seen = watchListening();
    const listener = vi.fn();
    const unlisten = onCacheWarning(listener);
    await settled();
    await warn(full);
    await warn(restored);
    expect(listener.mock.calls).toEqual([[full], [restored]]);
    unlisten();
    unlisten();
    await warn(full);
    await settled();
    expect(listener).toHaveBeenCalledTimes(2);
    expect(seen).toEqual(["listen", "unlisten"]);
    expect(reported).not.toHaveBeenCalled();
  });

  test("tells first of what there was before the page listened, and of nothing twice", async () => {
    plugin.cacheWarnings = [full, restored];
    const listener = vi.fn();
    onCacheWarning(listener);
    await settled();
    await warn(restored);
    const later: CacheWarning = { seq: 3, kind: "locked", message: "another process holds the file" };
    await warn(later);
    expect(listener.mock.calls).toEqual([[full], [restored], [later]]);
  });

  test("can be ended before Tauri listens, and lets go as soon as it does", async () => {
    const held = gate();
    const seen = watchListening((command) => (command === "listen" ? held.opened : undefined));
    const listener = vi.fn();
    onCacheWarning(listener)();
    await settled();
    expect(seen).toEqual(["listen"]);
    held.open();
    await settled();
    expect(seen).toEqual(["listen", "unlisten"]);
    await warn(full);
    expect(listener).not.toHaveBeenCalled();
  });

  test("reports what a listener throws, and goes on for it and for others", async () => {
    const thrown = new Error("of the app");
    const bad = vi.fn(() => {
      throw thrown;
    });
    const good = vi.fn();
    onCacheWarning(bad);
    onCacheWarning(good);
    await settled();
    await warn(full);
    await warn(restored);
    expect(reported.mock.calls).toEqual([[thrown], [thrown]]);
    expect(bad).toHaveBeenCalledTimes(2);
    expect(good.mock.calls).toEqual([[full], [restored]]);
  });

  test.each(["listen", "unlisten"])("reports that Tauri refuses to %s, as a WatchError", async (refused) => {
    watchListening((command) => {
      if (command === refused) throw `event.${refused} not allowed`;
    });
    const unlisten = onCacheWarning(vi.fn());
    await settled();
    unlisten();
    await settled();
    expect(reported).toHaveBeenCalledOnce();
    const reason = { name: "WatchError", kind: "ipc", message: `event.${refused} not allowed` };
    expect(reported.mock.lastCall?.[0]).toMatchObject(reason);
  });

  test("passes nothing on that is no warning", async () => {
    const listener = vi.fn();
    onCacheWarning(listener);
    await settled();
    for (const payload of ["{", "null", "5", '"disk-full"', "{}", full]) await emit(EVENT, payload);
    expect(listener).not.toHaveBeenCalled();
    expect(reported).not.toHaveBeenCalled();
  });
});

test("the options of a web client's store type-check as they are", () => {
  interface Row {
    uri: string;
  }
  const adapter = {
    read: (_key: string): Promise<Row[]> => Promise.resolve([]),
    write: (_key: string, _records: Row[]): Promise<void> => Promise.resolve(),
  };
  const web = {
    url: "/watch",
    transport: "ws" as const,
    cache: adapter,
    cacheKey: "k",
    cacheMaxRecords: 50,
  };
  expectTypeOf(web).toExtend<WatchStoreOptions>();
  expectTypeOf({ ...web, cache: createSqliteCache() }).toExtend<WatchStoreOptions>();
  expectTypeOf<WatchStoreOptions["cache"]>().extract<boolean>().toEqualTypeOf<boolean>();
});
