import { afterEach, beforeEach, describe, expect, type Mock, test, vi } from "vitest";
import type { FakePlugin } from "./testing/fake-plugin.js";
import { Page } from "./testing/page.js";
import { record, texts } from "./testing/records.js";
import { gate, settled } from "./testing/until.js";
import type { WatchStore } from "./types.js";

const alice = "did:plc:alice";
const bob = "did:plc:bob";

let page: Page;
let plugin: FakePlugin;
let warn: Mock<(message: string, ...details: unknown[]) => void>;

beforeEach(async () => {
  page = await Page.open();
  plugin = page.plugin;
  warn = vi.fn();
});
afterEach(() => page.close());

const started = () => page.started({ logger: { warn } });
const add = (store: WatchStore, rkey: string, did = alice) =>
  store.addOptimistic({ rkey, did, value: { text: `${rkey} hi` } });

/** What reached the plugin: the nonce, the operation and the key. */
function sent(): string[] {
  const edits = plugin.calls.filter(({ command }) => command === "edit_watch");
  return edits.map(({ handle, args: { nonce, edit } }) => {
    const { op, rkey, record } = edit as { op: string; rkey?: string; record?: { rkey: string } };
    return `${handle}/${nonce} ${op} ${rkey ?? record?.rkey}`;
  });
}

describe("an optimistic record", () => {
  test("shows as pending, then as failed with why, then no more", async () => {
    const store = await started();
    add(store, "new");
    await vi.waitFor(() => expect(texts(store.records)).toEqual(["new hi", "b v0", "a v0"]));
    expect(store.records[0]).toMatchObject({ optimistic: "pending", did: alice, rkey: "new" });
    store.markFailed("new", new TypeError("no network"));
    await vi.waitFor(() => expect(store.records[0]?.optimistic).toBe("failed"));
    expect(store.records[0]?.optimisticError).toEqual({ name: "TypeError", message: "no network" });
    store.removeOptimistic("new");
    await vi.waitFor(() => expect(texts(store.records)).toEqual(["b v0", "a v0"]));
    expect(warn).not.toHaveBeenCalled();
  });

  test("takes the place of the record it edits, which shows again when it is taken back", async () => {
    const store = await started();
    add(store, "b");
    await vi.waitFor(() => expect(texts(store.records)).toEqual(["b hi", "a v0"]));
    store.removeOptimistic("b", alice);
    await vi.waitFor(() => expect(texts(store.records)).toEqual(["b v0", "a v0"]));
  });

  test("gives back the record that only the page still has, although the page asked for the state meanwhile", async () => {
    const store = await started();
    store.stop();
    Object.assign(plugin, { records: [], status: "reconnecting" });
    store.start();
    const { space } = record("b");
    store.addOptimistic({ rkey: "b", did: alice, space, value: { text: "b hi" } });
    await vi.waitFor(() => expect(texts(store.records)).toEqual(["b hi", "a v0"]));
    page.comeBack();
    await vi.waitFor(() => expect(plugin.handles("watch_state")).toHaveLength(1));
    await settled();
    store.removeOptimistic("b", alice);
    await vi.waitFor(() => expect(texts(store.records)).toEqual(["b v0", "a v0"]));
  });

  test("is replaced by the real one, without a moment in which it is absent or doubled", async () => {
    const store = await started();
    add(store, "new");
    await vi.waitFor(() => expect(store.records).toHaveLength(3));
    const seen: number[] = [];
    store.subscribe(({ records }) => seen.push(records.filter(({ rkey }) => rkey === "new").length));
    await plugin.caughtUp();
    await plugin.push({ records: [record("new"), ...plugin.records] });
    expect(store.records[0]?.optimistic).toBeUndefined();
    expect(new Set(seen)).toEqual(new Set([1]));
  });

  test("travels whole, with the author that narrows it", async () => {
    const store = await started();
    const full = {
      rkey: "x",
      did: bob,
      collection: "com.example.like",
      value: { of: "y", tags: ["z"] },
      time_us: 1_700_000_000_000_000,
      uri: `at://${bob}/com.example.like/x`,
      space: "ats://did:plc:alice/com.example.space/one",
    };
    store.addOptimistic(full);
    store.markFailed("x", "late", bob);
    store.removeOptimistic("x", bob);
    await vi.waitFor(() => expect(sent()).toHaveLength(3));
    const edits = plugin.calls.flatMap(({ command, args }) =>
      command === "edit_watch" ? [args["edit"]] : [],
    );
    expect(edits).toEqual([
      { op: "add", record: full },
      { op: "fail", rkey: "x", did: bob, error: { name: "Error", message: "late" } },
      { op: "remove", rkey: "x", did: bob },
    ]);
  });

  test("is what it was when it was added, whatever the app does with the object later", async () => {
    const store = page.make();
    const value = { text: "hi" };
    store.addOptimistic({ rkey: "new", did: alice, value });
    value.text = "changed";
    store.start();
    await vi.waitFor(() => expect(texts(store.records)).toEqual(["hi", "b v0", "a v0"]));
  });
});

describe.each(["connecting", "reconnecting"] as const)(
  "while a watch that was opened again is %s",
  (status) => {
    /** What ends the one watch and opens the other, of which Rust knows no records. */
    const again = {
      stop: (store: WatchStore) => {
        store.stop();
        store.start();
      },
      lapse: () => {
        plugin.forget();
        page.comeBack();
      },
    };

    async function outage(how: keyof typeof again, before = (_store: WatchStore) => {}): Promise<WatchStore> {
      const store = await started();
      before(store);
      await settled();
      await plugin.caughtUp();
      Object.assign(plugin, { status, records: [] });
      again[how](store);
      await vi.waitFor(() => expect(plugin.opens.has(2)).toBe(true));
      return store;
    }

    test.each(["stop", "lapse"] as const)("edits show at once among the records kept (%s)", async (how) => {
      const store = await outage(how);
      const [b, a] = store.records;
      add(store, "new");
      await vi.waitFor(() => expect(texts(store.records)).toEqual(["new hi", "b v0", "a v0"]));
      const { rkey, did, space } = record("b");
      store.addOptimistic({ rkey, did, space, value: { text: "b hi" } });
      await vi.waitFor(() => expect(texts(store.records)).toEqual(["new hi", "b hi", "a v0"]));
      store.markFailed("new");
      await vi.waitFor(() => expect(store.records[0]?.optimistic).toBe("failed"));
      store.removeOptimistic("new");
      await vi.waitFor(() => expect(texts(store.records)).toEqual(["b hi", "a v0"]));
      store.removeOptimistic("b");
      await vi.waitFor(() => expect(store.records).toEqual([b, a]));
      add(store, "late");
      await vi.waitFor(() => expect(store.records).toHaveLength(3));
      await plugin.push({ status: "live", records: [record("b"), record("a")] });
      await vi.waitFor(() => expect(store.status).toBe("live"));
      expect(texts(store.records)).toEqual(["late hi", "b v0", "a v0"]);
      expect(store.records.slice(1)).toEqual([b, a]);
    });

    test.each(["stop", "lapse"] as const)(
      "earlier edits can still fail and be taken back (%s)",
      async (how) => {
        const store = await outage(how, (store) => {
          add(store, "x");
          add(store, "y");
        });
        expect(texts(store.records)).toEqual(["y hi", "x hi", "b v0", "a v0"]);
        store.markFailed("x", "late");
        await vi.waitFor(() => expect(store.records[1]?.optimistic).toBe("failed"));
        store.removeOptimistic("y");
        await vi.waitFor(() => expect(texts(store.records)).toEqual(["x hi", "b v0", "a v0"]));
        // A resync asks for the same again.
        page.comeBack();
        await vi.waitFor(() => expect(plugin.handles("watch_state")).toContain(2));
        await settled();
        expect(texts(store.records)).toEqual(["x hi", "b v0", "a v0"]);
      },
    );
  },
);

describe("edits", () => {
  test("go one after another, numbered from one", async () => {
    const store = await started();
    const first = gate();
    plugin.intercept = ({ command, args }) =>
      command === "edit_watch" && args["nonce"] === 1 ? first.opened : undefined;
    add(store, "x");
    add(store, "y");
    store.removeOptimistic("x");
    await settled();
    expect(sent()).toEqual(["1/1 add x"]);
    first.open();
    await vi.waitFor(() => expect(sent()).toEqual(["1/1 add x", "1/2 add y", "1/3 remove x"]));
  });

  test("of before the start are sent in order once the watch is open", async () => {
    const store = page.make();
    add(store, "x");
    store.markFailed("x", "late");
    const answer = gate();
    plugin.intercept = ({ command }) => (command === "open_watch" ? answer.opened : undefined);
    store.start();
    add(store, "y");
    await vi.waitFor(() => expect(plugin.handles("open_watch")).toEqual([1]));
    expect(sent()).toEqual([]);
    answer.open();
    await vi.waitFor(() => expect(sent()).toEqual(["1/1 add x", "1/2 fail x", "1/3 add y"]));
  });

  test("of a stopped store wait for its next start, where they are numbered anew", async () => {
    const store = await started();
    add(store, "x");
    await vi.waitFor(() => expect(store.records).toHaveLength(3));
    store.stop();
    add(store, "y");
    await settled();
    store.start();
    await vi.waitFor(() => expect(sent()).toEqual(["1/1 add x", "2/1 add y"]));
  });

  test("are numbered anew for a watch that Rust had forgotten, and none is lost on the way", async () => {
    const store = await started();
    add(store, "x");
    await vi.waitFor(() => expect(sent()).toEqual(["1/1 add x"]));
    plugin.forget();
    add(store, "y");
    add(store, "z");
    await vi.waitFor(() => expect(sent()).toEqual(["1/1 add x", "1/2 add y", "2/1 add y", "2/2 add z"]));
    expect(warn.mock.calls.map(([line]) => line)).toEqual([
      "contrail-sync w1: the watch was lost, and is opened again",
    ]);
  });

  test("that an open watch says it does not know are tried twice, no more", async () => {
    const store = await started();
    plugin.intercept = ({ command }) => {
      if (command === "edit_watch") throw { kind: "unknown-watch", message: "no such handle" };
    };
    add(store, "x");
    await vi.waitFor(() => expect(warn).toHaveBeenCalledOnce());
    await settled();
    expect(sent()).toEqual(["1/1 add x", "1/2 add x"]);
  });

  test("that wait are bounded, and one too many is told to the logger", () => {
    const store = page.make({ logger: { warn } });
    for (let n = 0; n < 1000; n++) add(store, `r${n}`);
    expect(warn).not.toHaveBeenCalled();
    add(store, "one too many");
    expect(warn.mock.calls).toEqual([
      ["contrail-sync: an edit was not made", expect.objectContaining({ kind: "invalid-options" })],
    ]);
  });

  test("that Rust refuses are told to the logger, and the next ones are made", async () => {
    const store = await started();
    plugin.intercept = ({ command, args }) => {
      if (command === "edit_watch" && args["nonce"] === 1)
        throw { kind: "invalid-options", message: "too long" };
    };
    add(store, "x");
    add(store, "y");
    await vi.waitFor(() => expect(texts(store.records)).toEqual(["y hi", "b v0", "a v0"]));
    const error = expect.objectContaining({
      name: "WatchError",
      kind: "invalid-options",
      message: "addOptimistic: too long",
    });
    expect(warn.mock.calls).toEqual([["contrail-sync w1: an edit was not made", error]]);
    expect([store.status, store.error]).toEqual(["live", null]);
  });

  test("are made by methods that work on their own and return nothing", async () => {
    const { addOptimistic, markFailed, removeOptimistic } = await started();
    expect(addOptimistic({ rkey: "x", did: alice, value: {} })).toBeUndefined();
    expect(markFailed("x")).toBeUndefined();
    expect(removeOptimistic("x")).toBeUndefined();
    await vi.waitFor(() => expect(sent()).toHaveLength(3));
  });
});

describe("what cannot be sent", () => {
  const record = (members: object) => ({ rkey: "x", did: alice, value: {}, ...members }) as never;
  const wrong: [string, string, (store: WatchStore) => void][] = [
    ["no record", "a record is needed, not Undefined", (it) => it.addOptimistic(undefined as never)],
    ["no did", "did is Undefined, it must be a string", (it) => it.addOptimistic(record({ did: undefined }))],
    [
      "no rkey",
      "rkey is Undefined, it must be a string",
      (it) => it.addOptimistic(record({ rkey: undefined })),
    ],
    ["an empty did", "did is empty", (it) => it.addOptimistic(record({ did: "" }))],
    ["no value", "value is undefined", (it) => it.addOptimistic(record({ value: undefined }))],
    [
      "a space that is none",
      "space is Null, it must be a string",
      (it) => it.addOptimistic(record({ space: null })),
    ],
    [
      "a time in words",
      "time_us is String, it must be a number",
      (it) => it.addOptimistic(record({ time_us: "1" })),
    ],
    ["a time that is none", "time_us: cannot send NaN", (it) => it.addOptimistic(record({ time_us: NaN }))],
    [
      "a big integer",
      "value.n: cannot send a BigInt",
      (it) => it.addOptimistic(record({ value: { n: 1n } })),
    ],
    [
      "half an emoji",
      "value.text: cannot send half",
      (it) => it.addOptimistic(record({ value: { text: "\ud83d" } })),
    ],
    ["nothing to fail", "rkey is Undefined, it must be a string", (it) => it.markFailed(undefined as never)],
    [
      "nobody's to fail",
      "did is Null, it must be a string",
      (it) => it.markFailed("x", "late", null as never),
    ],
    [
      "nothing to remove",
      "rkey is Undefined, it must be a string",
      (it) => it.removeOptimistic(undefined as never),
    ],
    ["half a key to remove", "rkey: cannot send half", (it) => it.removeOptimistic("\udc00")],
  ];

  test.each(wrong)(
    "such as %s is refused by its name: the logger is told, nothing is sent and nothing thrown",
    async (_, why, edit) => {
      const store = await started();
      edit(store);
      expect(warn.mock.calls).toEqual([
        ["contrail-sync w1: an edit was not made", expect.objectContaining({ kind: "invalid-options" })],
      ]);
      const { message } = warn.mock.calls[0]![1] as Error;
      expect(message).toMatch(/^(addOptimistic|markFailed|removeOptimistic)[.:]/);
      expect(message).toContain(why);
      await settled();
      expect(sent()).toEqual([]);
    },
  );

  test("is not what a member is that is undefined, or a date, or a member of a record that an edit has not", async () => {
    const store = await started();
    const value = { text: "hi", re: undefined, at: new Date(0) };
    store.addOptimistic({ rkey: "x", did: alice, value, cid: null, reactions: [1n] } as never);
    await vi.waitFor(() =>
      expect(store.records[0]?.value).toEqual({ text: "hi", at: "1970-01-01T00:00:00.000Z" }),
    );
    expect(warn).not.toHaveBeenCalled();
  });
});

describe("the error of markFailed", () => {
  test.each([
    ["an error", new RangeError("too far"), { name: "RangeError", message: "too far" }],
    ["a text", "oops", { name: "Error", message: "oops" }],
    [
      "an object like an error",
      { name: "XRPCError", message: "taken" },
      { name: "XRPCError", message: "taken" },
    ],
    ["nothing", undefined, { name: "Error", message: "" }],
    ["null", null, { name: "Error", message: "" }],
    ["a number", 500, { name: "Error", message: "500" }],
  ])("may be %s", async (_, err, error) => {
    const store = await started();
    store.markFailed("x", err);
    await vi.waitFor(() => expect(plugin.calls.at(-1)?.args["edit"]).toMatchObject({ error }));
  });

  test("is cut at 1,000 characters, its name at 100, and no character in half", async () => {
    const store = await started();
    const name = `${"n".repeat(99)}😀`;
    store.markFailed("x", { name: `${name}n`, message: "😀".repeat(1001) });
    await vi.waitFor(() => expect(sent()).toHaveLength(1));
    const { error } = plugin.calls.at(-1)?.args["edit"] as { error: { name: string; message: string } };
    expect(error).toEqual({ name, message: "😀".repeat(1000) });
  });

  test("has no half characters", async () => {
    const store = await started();
    store.markFailed("x", { name: "E\udc00", message: "half \ud83d of 😀" });
    await vi.waitFor(() => expect(sent()).toHaveLength(1));
    const { error } = plugin.calls.at(-1)?.args["edit"] as { error: unknown };
    expect(error).toEqual({ name: "E\ufffd", message: "half \ufffd of 😀" });
  });

  test("without a text is told to the logger", async () => {
    const store = await started();
    expect(() => store.markFailed("x", Object.create(null))).not.toThrow();
    expect(warn).toHaveBeenCalledOnce();
  });
});
