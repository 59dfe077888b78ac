import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { FakePlugin } from "./testing/fake-plugin.js";
import { Page } from "./testing/page.js";
import { record, texts } from "./testing/records.js";
import { gate, settled, until } from "./testing/until.js";
import type { Snapshot } from "./types.js";

const live = ({ status }: Snapshot) => status === "live";
const closed = ({ status }: Snapshot) => status === "closed";

let page: Page;
let plugin: FakePlugin;

beforeEach(async () => {
  page = await Page.open();
  plugin = page.plugin;
});
afterEach(() => page.close());

const make = (options?: Parameters<Page["make"]>[0]) => page.make(options);
const started = (options?: Parameters<Page["make"]>[0]) => page.started(options);

describe("a store", () => {
  test("is idle and empty before it is started, and asks nothing of Rust", async () => {
    const store = make();
    const listener = vi.fn();
    store.subscribe(listener);
    const nothing = { records: [], profiles: {}, status: "idle", error: null, cursor: null, hasMore: false };
    expect(listener.mock.calls).toEqual([[nothing]]);
    expect([store.records, store.status, store.error, store.cursor]).toEqual([[], "idle", null, null]);
    await settled();
    expect(plugin.calls).toEqual([]);
  });

  test("is connecting at once, then shows what Rust has", async () => {
    plugin.cursor = "older";
    const store = make();
    const seen: string[] = [];
    store.subscribe(({ status, records }) => seen.push(`${status} ${records.length}`));
    store.start();
    expect(store.status).toBe("connecting");
    await store.ready;
    expect(seen).toEqual(["idle 0", "connecting 0", "live 2"]);
    expect(texts(store.records)).toEqual(["b v0", "a v0"]);
    expect(store.cursor).toBe("older");
  });

  test("has the profiles that the appview told, by DID", async () => {
    const store = await started();
    const { records } = store;
    const ann = { did: "did:plc:ann", handle: "ann.test" };
    await plugin.push({ profiles: { [ann.did]: ann } });
    expect(store.profiles[ann.did]?.handle).toBe("ann.test");
    expect(store.profiles["did:plc:nobody"]).toBeUndefined();
    expect(store.records).toBe(records);
  });

  test("follows what is created, edited and deleted, keeping unchanged records the same objects", async () => {
    const store = await started();
    const [b, a] = store.records;
    const before = store.records;
    await plugin.push({ records: [record("c"), record("b", 1), record("a")] });
    expect(texts(store.records)).toEqual(["c v0", "b v1", "a v0"]);
    expect(store.records).not.toBe(before);
    expect(store.records[1]).not.toBe(b);
    expect(store.records[2]).toBe(a);
    await plugin.caughtUp();
    await plugin.push({ records: [record("b", 1)] });
    expect(texts(store.records)).toEqual(["b v1"]);
  });

  test("shows records before it is live: those of a cache, or of a watch that lost its connection", async () => {
    plugin.status = "reconnecting";
    const store = make();
    store.start();
    const { records } = await until(store, ({ status }) => status === "reconnecting");
    expect(texts(records)).toEqual(["b v0", "a v0"]);
  });

  test("notifies of a status without touching the records", async () => {
    const store = await started();
    const { records } = store;
    const error = { kind: "disconnected", message: "the server closed the stream" } as const;
    await plugin.push({ status: "reconnecting", error });
    expect(store.status).toBe("reconnecting");
    expect(store.error).toMatchObject({ name: "WatchError", ...error });
    expect(store.error).toBeInstanceOf(Error);
    expect(store.records).toBe(records);
    const first = store.error;
    await plugin.caughtUp();
    await plugin.push({ status: "connecting" });
    expect(store.error).toBe(first);
  });

  test("tells nobody of a record that was sent again without a change", async () => {
    const store = await started();
    const listener = vi.fn();
    store.subscribe(listener);
    listener.mockClear();
    await plugin.send(
      1,
      JSON.stringify({
        handle: 1,
        rev: 2,
        status: "live",
        error: null,
        cursor: store.cursor,
        length: 2,
        removed: [],
        ids: [0],
        indexes: [0],
        records: [record("b")],
        more: false,
      }),
    );
    await vi.waitFor(() => expect(plugin.handles("ack_watch")).toEqual([1]));
    expect(listener).not.toHaveBeenCalled();
  });

  test("acknowledges a delta only after the listeners have run", async () => {
    const store = await started();
    let acksSeenByListener = -1;
    store.subscribe(() => (acksSeenByListener = plugin.handles("ack_watch").length));
    await plugin.push({ records: [record("c")] });
    expect(acksSeenByListener).toBe(0);
    await vi.waitFor(() => expect(plugin.handles("ack_watch")).toEqual([1]));
    expect(plugin.calls.find(({ command }) => command === "ack_watch")?.args["rev"]).toBe(2);
  });

  test("stops calling a listener that unsubscribed, also from within a notification", async () => {
    const store = await started();
    const second = vi.fn();
    let unsubscribe = () => {};
    store.subscribe(() => unsubscribe());
    unsubscribe = store.subscribe(second);
    second.mockClear();
    await plugin.push({ records: [] });
    expect(second).not.toHaveBeenCalled();
  });

  test("calls one function subscribed twice for each subscription", async () => {
    const store = await started();
    const listener = vi.fn();
    const first = store.subscribe(listener);
    store.subscribe(listener);
    first();
    listener.mockClear();
    await plugin.push({ records: [] });
    expect(listener).toHaveBeenCalledTimes(1);
  });

  test("tells every listener of changes in order when a listener makes one", async () => {
    const store = await started();
    const seen: string[] = [];
    store.subscribe(({ status }) => status === "reconnecting" && store.stop());
    store.subscribe(({ status }) => seen.push(status));
    await plugin.push({ status: "reconnecting" });
    expect(seen).toEqual(["live", "reconnecting", "closed"]);
  });

  test("has methods that work on their own", async () => {
    const { subscribe, start, stop } = make();
    const seen: string[] = [];
    subscribe(({ status }) => seen.push(status));
    start();
    stop();
    expect(seen).toEqual(["idle", "connecting", "closed"]);
  });
});

describe("a listener that throws", () => {
  const oops = new Error("oops");

  test("harms no other listener and reaches the logger", async () => {
    const error = vi.fn();
    const store = await started({ logger: { error } });
    const other = vi.fn();
    store.subscribe(() => {
      throw oops;
    });
    store.subscribe(other);
    await plugin.push({ records: [] });
    expect(other).toHaveBeenCalledTimes(2);
    expect(error.mock.calls).toEqual([
      ["contrail-sync w1: a listener threw", oops],
      ["contrail-sync w1: a listener threw", oops],
    ]);
    await vi.waitFor(() => expect(plugin.handles("ack_watch")).toEqual([1]));
  });

  test("is reported as an uncaught error without a logger", () => {
    const reported = vi.fn();
    vi.stubGlobal("reportError", reported);
    make().subscribe(() => {
      throw oops;
    });
    expect(reported).toHaveBeenCalledExactlyOnceWith(oops);
    vi.unstubAllGlobals();
  });

  test("and a logger that throws harm nobody", async () => {
    const complain = vi.spyOn(console, "error").mockReturnValue();
    const error = () => {
      throw new Error("no log");
    };
    const store = await started({ logger: { error } });
    const other = vi.fn();
    store.subscribe(() => {
      throw oops;
    });
    store.subscribe(other);
    await plugin.push({ records: [] });
    expect(other).toHaveBeenCalledTimes(2);
    expect(complain).toHaveBeenCalledWith("contrail-sync w1: a listener threw", oops);
  });
});

describe("start and stop", () => {
  test("starting twice opens one watch", async () => {
    const store = await started();
    store.start();
    await settled();
    expect(plugin.handles("open_watch")).toEqual([1]);
  });

  test("stopping keeps the records and closes the watch once", async () => {
    const store = await started();
    const { records } = store;
    store.stop();
    store.stop();
    expect(store.status).toBe("closed");
    expect(store.records).toBe(records);
    await settled();
    expect(plugin.handles("close_watch")).toEqual([1]);
    expect(plugin.opens.size).toBe(0);
  });

  test("a stopped store refuses as one that is stopped, whatever had been wrong before", async () => {
    const store = await page.started();
    await plugin.push({ status: "reconnecting", error: { kind: "connect", message: "no network" } });
    expect(store.error?.kind).toBe("connect");
    store.stop();
    for (const refused of [store.loadMore(), store.refresh(), store.put({ did: "did:plc:a", value: {} })]) {
      await expect(refused).rejects.toMatchObject({ kind: "stopped" });
    }
  });

  test("stopping an idle store does nothing", async () => {
    const store = make();
    store.stop();
    await settled();
    expect(store.status).toBe("idle");
    expect(plugin.calls).toEqual([]);
  });

  test("a stopped store follows again under a new handle", async () => {
    const store = await started();
    const [b] = store.records;
    store.stop();
    plugin.records = [record("c"), record("b")];
    store.start();
    expect(store.status).toBe("connecting");
    await until(store, live);
    expect(texts(store.records)).toEqual(["c v0", "b v0"]);
    expect(store.records[1]).toBe(b);
    expect(plugin.handles("open_watch")).toEqual([1, 2]);
    await plugin.push({ records: [record("d")] });
    expect(texts(store.records)).toEqual(["d v0"]);
  });

  test("records stay on screen after a restart until the new watch is live", async () => {
    const store = await started();
    const { records } = store;
    store.stop();
    Object.assign(plugin, { records: [], status: "connecting" });
    const seen: number[] = [];
    store.subscribe((snapshot) => seen.push(snapshot.records.length));
    store.start();
    await vi.waitFor(() => expect(plugin.opens.has(2)).toBe(true));
    await plugin.push({ records: [record("b")], status: "snapshot" });
    expect(store.records).toBe(records);
    await plugin.caughtUp();
    await plugin.push({ records: [record("b"), record("a")], status: "live" });
    expect(store.records).toBe(records);
    expect(new Set(seen)).toEqual(new Set([2]));
  });

  test("records stay beside the error when a restart finds nobody and does not reconnect", async () => {
    const store = await started({ reconnect: false });
    const { records } = store;
    store.stop();
    const error = { kind: "connect", message: "nobody listens" } as const;
    Object.assign(plugin, { records: [], status: "connecting" });
    store.start();
    await vi.waitFor(() => expect(plugin.opens.has(2)).toBe(true));
    await plugin.push({ status: "closed", error });
    expect([store.status, store.error?.kind]).toEqual(["closed", "connect"]);
    expect(store.records).toBe(records);
    store.start();
    await vi.waitFor(() =>
      expect([store.status, plugin.handles("open_watch").length]).toEqual(["closed", 3]),
    );
    expect(store.records).toBe(records);
  });

  test("stopping before the page listens opens nothing", async () => {
    const store = make();
    store.start();
    store.stop();
    await settled();
    expect(plugin.handles("open_watch")).toEqual([]);
    expect(store.status).toBe("closed");
  });

  test("stopping while an open is pending wins: the watch is closed once it is known", async () => {
    const answer = gate();
    plugin.intercept = ({ command }) => (command === "open_watch" ? answer.opened : undefined);
    const store = make();
    store.start();
    await vi.waitFor(() => expect(plugin.handles("open_watch")).toEqual([1]));
    store.stop();
    await settled();
    expect(plugin.handles("close_watch")).toEqual([]);
    answer.open();
    await vi.waitFor(() => expect(plugin.handles("close_watch")).toEqual([1]));
    expect(plugin.opens.size).toBe(0);
    expect([store.status, store.records]).toEqual(["closed", []]);
  });

  test("start, stop, start while the first open is pending ends with the second watch alone", async () => {
    const answer = gate();
    plugin.intercept = ({ command, handle }) =>
      command === "open_watch" && handle === 1 ? answer.opened : undefined;
    const store = make();
    store.start();
    await vi.waitFor(() => expect(plugin.handles("open_watch")).toEqual([1]));
    store.stop();
    store.start();
    await until(store, live);
    answer.open();
    await vi.waitFor(() => expect(plugin.handles("close_watch")).toEqual([1]));
    expect([...plugin.opens.keys()]).toEqual([2]);
    expect(store.status).toBe("live");
  });

  test("a failed close is logged and nothing else", async () => {
    const warn = vi.fn();
    const store = await started({ logger: { warn } });
    plugin.intercept = ({ command }) => {
      if (command === "close_watch") throw new Error("lost");
    };
    store.stop();
    await vi.waitFor(() => expect(warn).toHaveBeenCalledOnce());
    expect([store.status, store.error]).toEqual(["closed", null]);
  });

  test.each(["destroy", "dispose"])("%s stops for good", async (how) => {
    const store = await started();
    const listener = vi.fn();
    store.subscribe(listener);
    if (how === "destroy") store.destroy();
    else store[Symbol.dispose]();
    expect(listener.mock.lastCall?.[0].status).toBe("closed");
    store.start();
    await settled();
    expect(store.status).toBe("closed");
    expect(plugin.handles("open_watch")).toEqual([1]);
    expect(plugin.handles("close_watch")).toEqual([1]);
  });
});

describe("ready", () => {
  test("is one promise until it is fulfilled", async () => {
    plugin.status = "connecting";
    const store = make();
    const { ready } = store;
    store.start();
    expect(store.ready).toBe(ready);
    await vi.waitFor(() => expect(plugin.opens.size).toBe(1));
    await plugin.push({ status: "live" });
    await expect(ready).resolves.toBeUndefined();
  });

  test("is rejected when the store is stopped first, and renewed by the next start", async () => {
    const store = make();
    store.start();
    const { ready } = store;
    store.stop();
    await expect(ready).rejects.toMatchObject({ kind: "stopped" });
    store.start();
    await expect(store.ready).resolves.toBeUndefined();
  });

  test("is rejected with what closed the watch", async () => {
    plugin.status = "connecting";
    const store = make();
    store.start();
    await vi.waitFor(() => expect(plugin.opens.size).toBe(1));
    await plugin.push({ status: "closed", error: { kind: "access-lost", message: "no member" } });
    await expect(store.ready).rejects.toMatchObject({ kind: "access-lost" });
  });
});

describe.each(["before its start", "while it opens", "after it was stopped"])(
  "ready of a store that is destroyed %s",
  (when) => {
    test("is rejected, and nobody has to await it", async () => {
      const store = make();
      const { ready } = store;
      if (when !== "before its start") store.start();
      if (when === "after it was stopped") store.stop();
      store.destroy();
      await expect(ready).rejects.toMatchObject({ name: "WatchError", kind: "stopped" });
      await expect(store.ready).rejects.toMatchObject({ kind: "stopped" });
    });
  },
);

describe("a watch that Rust closes", () => {
  test("shows why, takes over the records, and is released", async () => {
    const store = await started();
    await plugin.push({
      status: "closed",
      records: [],
      error: { kind: "access-lost", message: "no member" },
    });
    expect([store.status, store.records, store.error?.kind]).toEqual(["closed", [], "access-lost"]);
    await vi.waitFor(() => expect(plugin.handles("close_watch")).toEqual([1]));
  });

  test("can be started again", async () => {
    const store = await started();
    await plugin.push({ status: "closed", records: [] });
    Object.assign(plugin, { status: "live", records: [record("z")] });
    store.start();
    await until(store, live);
    expect(texts(store.records)).toEqual(["z v0"]);
  });
});

test("closed is the end of a store that could not open", async () => {
  plugin.intercept = ({ command }) => {
    if (command === "open_watch") throw { kind: "not-allowed", message: "the scope does not allow this URL" };
  };
  const store = make();
  store.start();
  const { error } = await until(store, closed);
  expect(error).toMatchObject({ kind: "not-allowed", message: "the scope does not allow this URL" });
});
