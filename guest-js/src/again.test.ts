// Optimistic records outlive all but the app: Rust has them only as long as somebody follows the watch.
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Page } from "./testing/page.js";
import type { FakePlugin } from "./testing/fake-plugin.js";
import { record, texts } from "./testing/records.js";
import { gate, settled, until } from "./testing/until.js";
import type { WatchRecord, WatchStore } from "./types.js";

const did = "did:plc:alice";

let page: Page;
let plugin: FakePlugin;
let others: Page[];

beforeEach(async () => {
  page = await Page.open();
  plugin = page.plugin;
  others = [];
});
afterEach(() => {
  for (const it of others) it.close();
  page.close();
  vi.useRealTimers();
});

async function beside(): Promise<Page> {
  const other = await page.beside();
  others.push(other);
  return other;
}

/** Adds a record, or edits one; as in a space, whose records have no cid. */
function add(store: WatchStore, rkey: string, text = `${rkey} hi`): void {
  const { space } = record(rkey);
  store.addOptimistic({ rkey, did, space, value: { text } });
}

/** `text`, with `?` for what is pending and `!` for what failed. */
const marked = (records: readonly WatchRecord[]) =>
  records.map(({ value, optimistic }) => {
    const mark = optimistic === "pending" ? "?" : optimistic === "failed" ? "!" : "";
    return `${value["text"]}${mark}`;
  });

const shows = (store: WatchStore, wanted: string[]) =>
  vi.waitFor(() => expect(marked(store.records)).toEqual(wanted), { interval: 1 });
/** What Rust shows to all windows. */
const has = (wanted: string[]) =>
  vi.waitFor(() => expect(marked(plugin.shown as WatchRecord[])).toEqual(wanted), { interval: 1 });

/** The edits that were made under a handle: the operation and the key. */
const made = (handle: number) =>
  plugin.calls.flatMap(({ command, handle: its, args }) => {
    if (command !== "edit_watch" || its !== handle) return [];
    const { op, rkey, record } = args["edit"] as { op: string; rkey?: string; record?: { rkey: string } };
    return [`${op} ${rkey ?? record?.rkey}`];
  });

/** What makes Rust end a watch; each gives the store that goes on. */
const losses: Record<string, (store: WatchStore) => WatchStore> = {
  "a page that was frozen for too long": (store) => {
    plugin.end();
    page.comeBack();
    return store;
  },
  "a store that was stopped": (store) => {
    store.stop();
    plugin.end();
    store.start();
    return store;
  },
  "a component that made its store and unmounted": (store) => {
    store.stop();
    plugin.end();
    const next = page.make();
    next.start();
    return next;
  },
  "a store that was destroyed": (store) => {
    store.destroy();
    plugin.end();
    const next = page.make({ transport: "ws" });
    next.start();
    return next;
  },
};

describe.each(Object.entries(losses))("after %s", (_, lose) => {
  test("Rust is told again what the page holds, each once, while it shows all the time", async () => {
    const store = await page.started();
    add(store, "x");
    add(store, "y");
    store.markFailed("y", new TypeError("no network"));
    await shows(store, ["y hi!", "x hi?", "b v0", "a v0"]);
    await plugin.caughtUp();
    const next = lose(store);
    const seen: string[][] = [];
    next.subscribe(({ records }) => seen.push(marked(records)));
    await until(next, ({ status }) => status === "live");
    await shows(next, ["y hi!", "x hi?", "b v0", "a v0"]);
    await has(["y hi!", "x hi?", "b v0", "a v0"]);
    expect(next.records[0]?.optimisticError).toEqual({ name: "TypeError", message: "no network" });
    const handle = plugin.handles("open_watch").at(-1)!;
    expect(made(handle)).toEqual(["add x", "add y", "fail y"]);
    if (next === store) {
      for (const texts of seen) expect(texts).toEqual(["y hi!", "x hi?", "b v0", "a v0"]);
    }
    next.removeOptimistic("y");
    await shows(next, ["x hi?", "b v0", "a v0"]);
  });

  test("an edit of a record stays in its place, and gives it back when it is taken back", async () => {
    plugin.answers = false;
    const store = await page.started();
    add(store, "b");
    await shows(store, ["b hi?", "a v0"]);
    await plugin.caughtUp();
    const next = lose(store);
    await has(["b hi?"]);
    if (next === store) {
      await shows(store, ["b hi?", "a v0"]);
      store.removeOptimistic("b");
      await shows(store, ["b v0", "a v0"]);
      add(store, "b");
      await shows(store, ["b hi?", "a v0"]);
    }
    await plugin.connect();
    await shows(next, ["b hi?", "a v0"]);
    next.removeOptimistic("b");
    await shows(next, ["b v0", "a v0"]);
  });

  test("what the server has by now is there once, and not as pending", async () => {
    const store = await page.started();
    add(store, "x", "x v0");
    add(store, "y");
    store.markFailed("y");
    await shows(store, ["y hi!", "x v0?", "b v0", "a v0"]);
    plugin.records = [record("x"), ...plugin.records];
    const next = lose(store);
    await shows(next, ["y hi!", "x v0", "b v0", "a v0"]);
    await settled();
    await has(["y hi!", "x v0", "b v0", "a v0"]);
  });

  test("an edit that was made and not shown yet is not lost, be it one more or one less", async () => {
    const store = await page.started();
    add(store, "x");
    add(store, "y");
    await shows(store, ["y hi?", "x hi?", "b v0", "a v0"]);
    await plugin.caughtUp();
    plugin.tamper = () => null;
    add(store, "z");
    store.markFailed("y");
    store.removeOptimistic("x");
    await vi.waitFor(() => expect(made(1)).toHaveLength(5));
    await settled();
    plugin.tamper = (payload) => payload;
    const next = lose(store);
    await shows(next, ["z hi?", "y hi!", "b v0", "a v0"]);
    await has(["z hi?", "y hi!", "b v0", "a v0"]);
  });

  test("an edit that was on its way is made, and before what came after it", async () => {
    const store = await page.started();
    const answer = gate();
    plugin.intercept = ({ command }) => (command === "edit_watch" ? answer.opened : undefined);
    add(store, "x");
    await vi.waitFor(() => expect(made(1)).toEqual(["add x"]));
    const next = lose(store);
    next.removeOptimistic("x", did);
    add(next, "y");
    plugin.intercept = () => undefined;
    answer.open();
    await shows(next, ["y hi?", "b v0", "a v0"]);
    await settled();
    await has(["y hi?", "b v0", "a v0"]);
  });

  test("nothing is told again if access has ended", async () => {
    const store = await page.started();
    add(store, "x");
    await shows(store, ["x hi?", "b v0", "a v0"]);
    await plugin.caughtUp();
    await plugin.push({
      status: "closed",
      records: [],
      error: { kind: "access-lost", message: "no member" },
    });
    Object.assign(plugin, { status: "live", error: null, records: [record("b")] });
    const next = lose(store);
    next.start();
    await until(next, ({ status }) => status === "live");
    await settled();
    expect(marked(next.records)).not.toContain("x hi?");
    expect(made(2)).toEqual([]);
  });
});

test.each(["reconnecting", "closed"] as const)(
  "Rust is told again although it is %s by then",
  async (status) => {
    const store = await page.started();
    add(store, "x");
    store.markFailed("x");
    await shows(store, ["x hi!", "b v0", "a v0"]);
    await plugin.caughtUp();
    Object.assign(plugin, {
      firstStatus: status,
      answers: false,
      error: { kind: "connect", message: "offline" },
    });
    plugin.end();
    page.comeBack();
    await until(store, (now) => now.status === status);
    await settled();
    expect(marked(store.records)).toEqual(["x hi!", "b v0", "a v0"]);
    Object.assign(plugin, { firstStatus: "connecting", error: null });
    store.start();
    await vi.waitFor(() => expect(plugin.opens.size).toBe(1));
    await plugin.connect();
    await until(store, (now) => now.status === "live");
    await shows(store, ["x hi!", "b v0", "a v0"]);
    await has(["x hi!", "b v0", "a v0"]);
  },
);

test("Rust is told again although the new watch is live by then", async () => {
  const store = await page.started();
  add(store, "x");
  await shows(store, ["x hi?", "b v0", "a v0"]);
  await plugin.caughtUp();
  plugin.end();
  await plugin.connect();
  page.comeBack();
  await has(["x hi?", "b v0", "a v0"]);
  await shows(store, ["x hi?", "b v0", "a v0"]);
});

describe("a watch that goes on", () => {
  /** Two windows that show a failed record. */
  async function two() {
    const store = await page.started();
    const other = await (await beside()).started();
    add(store, "x");
    store.markFailed("x", "late");
    for (const it of [store, other]) await shows(it, ["x hi!", "b v0", "a v0"]);
    await plugin.caughtUp();
    return { store, other };
  }

  test.each(["stop", "lapse"])(
    "is believed: what was taken back elsewhere meanwhile stays away (%s)",
    async (how) => {
      const { store, other } = await two();
      if (how === "stop") other.stop();
      else plugin.opens.delete(101);
      store.removeOptimistic("x");
      await shows(store, ["b v0", "a v0"]);
      if (how === "stop") other.start();
      else others[0]!.comeBack();
      await vi.waitFor(() => expect(plugin.opens.has(102)).toBe(true));
      await shows(other, ["b v0", "a v0"]);
      await settled();
      expect(made(102)).toEqual([]);
      await has(["b v0", "a v0"]);
    },
  );

  test("has each record once, however many windows told of it, and not what one of them took back since", async () => {
    const { store, other } = await two();
    plugin.answers = false;
    plugin.end();
    page.comeBack();
    others[0]!.comeBack();
    await vi.waitFor(() => expect(plugin.opens.size).toBe(2));
    await plugin.connect();
    for (const it of [store, other]) await shows(it, ["x hi!", "b v0", "a v0"]);
    await has(["x hi!", "b v0", "a v0"]);

    await plugin.caughtUp();
    plugin.end();
    page.comeBack();
    await vi.waitFor(() => expect(plugin.opens.size).toBe(1));
    await plugin.connect();
    await has(["x hi!", "b v0", "a v0"]);
    store.removeOptimistic("x");
    await has(["b v0", "a v0"]);
    // Only now the other window wakes up.
    others[0]!.comeBack();
    await shows(other, ["b v0", "a v0"]);
    await settled();
    await has(["b v0", "a v0"]);
  });
});

describe("what a page leaves", () => {
  test("is of one watch and one account", async () => {
    const store = await page.started({ account: did });
    add(store, "x");
    await shows(store, ["x hi?", "b v0", "a v0"]);
    store.stop();
    plugin.end();
    const other = await page.started({ account: "did:plc:bob" });
    await settled();
    expect(made(2)).toEqual([]);
    other.stop();
    plugin.end();
    const next = await page.started({ account: did });
    await shows(next, ["x hi?", "b v0", "a v0"]);
  });

  test("is forgotten at a logout", async () => {
    const store = await page.started();
    add(store, "x");
    await shows(store, ["x hi?", "b v0", "a v0"]);
    store.stop();
    plugin.end();
    await (await import("./secrets.js")).clearTickets();
    await page.started();
    await settled();
    expect(made(2)).toEqual([]);
  });

  test("is what the last store of the watch knew", async () => {
    const [first, second] = [await page.started(), await page.started()];
    add(first, "x");
    await shows(second, ["x hi?", "b v0", "a v0"]);
    first.stop();
    second.removeOptimistic("x");
    await shows(second, ["b v0", "a v0"]);
    second.stop();
    plugin.end();
    first.start();
    await until(first, ({ status }) => status === "live");
    await shows(first, ["b v0", "a v0"]);
    await settled();
    await has(["b v0", "a v0"]);
  });

  test("is a guess where it was one: a record of a list that is empty otherwise is not known by the wrong name", async () => {
    plugin.records = [];
    const store = await page.started({ url: "/xrpc/com.example.chat.message.watchRecords?limit=5" });
    store.addOptimistic({ rkey: "x", did, value: {} });
    store.addOptimistic({ rkey: "y", did, collection: "com.example.like", value: {} });
    await vi.waitFor(() => expect(store.records).toHaveLength(2));
    plugin.end();
    page.comeBack();
    await vi.waitFor(() => expect(made(2)).toHaveLength(2));
    const told = plugin.calls.flatMap(({ handle, args }) =>
      handle === 2 && args["edit"] ? [args["edit"]] : [],
    );
    expect(told).toMatchObject([
      { record: { rkey: "x" } },
      { record: { rkey: "y", collection: "com.example.like" } },
    ]);
    expect((told[0] as { record: { collection?: string } }).record.collection).toBeUndefined();
  });
});

describe("an edit that is never answered", () => {
  test("holds the next one up for ten seconds and no longer, and is told to the logger", async () => {
    const warn = vi.fn();
    const store = await page.started({ logger: { warn } });
    plugin.intercept = ({ command, args }) =>
      command === "edit_watch" && args["nonce"] === 1 ? gate().opened : undefined;
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    add(store, "x");
    add(store, "y");
    await vi.advanceTimersByTimeAsync(9_999);
    expect(made(1)).toEqual(["add x"]);
    await vi.advanceTimersByTimeAsync(1);
    vi.useRealTimers();
    await shows(store, ["y hi?", "b v0", "a v0"]);
    const late = expect.objectContaining({
      kind: "ipc",
      message: "addOptimistic: Rust did not answer within 10 s",
    });
    expect(warn.mock.calls).toEqual([["contrail-sync w1: an edit was not made", late]]);
  });

  test("does not keep Rust's list from the page", async () => {
    const store = await page.started();
    add(store, "x");
    await shows(store, ["x hi?", "b v0", "a v0"]);
    plugin.intercept = ({ command, handle }) =>
      command === "edit_watch" && handle === 2 ? gate().opened : undefined;
    plugin.end();
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    page.comeBack();
    await vi.advanceTimersByTimeAsync(100);
    expect(marked(store.records)).toEqual(["x hi?", "b v0", "a v0"]);
    await vi.advanceTimersByTimeAsync(11_000);
    vi.useRealTimers();
    await shows(store, ["b v0", "a v0"]);
  });
});

test("whatever is lost, and when, what the app did last is what shows", async () => {
  const rkey = fc.constantFrom("x", "y", "z");
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ op: fc.constant("add" as const), rkey, version: fc.nat(2) }) },
    fc.record({ op: fc.constantFrom("fail" as const, "remove" as const), rkey, version: fc.constant(0) }),
    fc.record({
      op: fc.constantFrom("freeze", "restart", "unmount", "mute", "time", "quiet"),
      rkey,
      version: fc.constant(0),
    }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 14 }), async (steps) => {
      page.close();
      page = await Page.open();
      plugin = page.plugin;
      let store = await page.started();
      const wanted = new Map<string, string>();
      for (const { op, rkey, version } of steps) {
        const text = `${rkey} ${version}`;
        if (op === "add") {
          add(store, rkey, text);
          wanted.set(rkey, `${text}?`);
        } else if (op === "fail") {
          store.markFailed(rkey, "late", did);
          if (wanted.has(rkey)) wanted.set(rkey, wanted.get(rkey)!.replace("?", "!"));
        } else if (op === "remove") {
          store.removeOptimistic(rkey, did);
          wanted.delete(rkey);
        } else if (op === "freeze") store = losses["a page that was frozen for too long"]!(store);
        else if (op === "restart") store = losses["a store that was stopped"]!(store);
        else if (op === "unmount") store = losses["a component that made its store and unmounted"]!(store);
        else if (op === "mute") plugin.tamper = () => null;
        else if (op === "time") await settled();
        else await plugin.caughtUp().catch(() => {});
        if (op !== "mute" && op !== "time") await Promise.resolve();
      }
      plugin.tamper = (payload) => payload;
      page.comeBack();
      await vi.waitFor(
        () => {
          expect(store.status).toBe("live");
          const edits = marked(store.records).slice(0, -2);
          expect(edits.sort()).toEqual([...wanted.values()].sort());
          expect(
            marked(plugin.shown as WatchRecord[])
              .slice(0, -2)
              .sort(),
          ).toEqual(edits);
        },
        { interval: 1, timeout: 5000 },
      );
      expect(texts(store.records).slice(-2)).toEqual(["b v0", "a v0"]);
    }),
    { numRuns: 150 },
  );
}, 120_000);
