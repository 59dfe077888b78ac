import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { FakePlugin } from "./testing/fake-plugin.js";
import { Page } from "./testing/page.js";
import { record } from "./testing/records.js";
import type { PendingWrite } from "./writing.js";

const alice = "did:plc:alice";

let page: Page;
let plugin: FakePlugin;
let api: typeof import("./writes.js");
let queue: typeof import("./queue.js");
let warn: ReturnType<typeof vi.spyOn>;

async function fresh(): Promise<void> {
  page = await Page.open();
  plugin = page.plugin;
  api = await import("./writes.js");
  queue = await import("./queue.js");
}

beforeEach(async () => {
  vi.useFakeTimers();
  warn = vi.spyOn(console, "warn").mockImplementation(() => {});
  await fresh();
});
afterEach(() => {
  page.close();
  vi.useRealTimers();
});

const pass = (ms = 0) => vi.advanceTimersByTimeAsync(ms);
const put = (rkey = "x", account: string | undefined = alice) =>
  plugin.writes.put(`${Math.random()}`, account, { did: alice, rkey, value: {} });
const polls = () => plugin.calls.filter(({ command }) => command === "watch_writes");
const asked = () => polls().map(({ args }) => args["after"]);
/** What each call of a listener was told. */
const states = (seen: ReturnType<typeof vi.fn>) =>
  seen.mock.calls.map(([writes]) =>
    (writes as PendingWrite[]).map(({ rkey, state }) => `${rkey} ${state}`).join(),
  );

describe("watchWrites", () => {
  test("shows what it did where Rust was too busy to tell everything, and asks again", async () => {
    put("x");
    const seen = vi.fn();
    api.watchWrites({ account: alice }, seen);
    await pass();
    page.leave(true);
    plugin.intercept = ({ command }) =>
      command === "watch_writes" ? { rev: 0, whole: false, writes: [] } : undefined;
    page.comeBack();
    await pass();
    expect(asked()).toEqual([0, 2, 0]);
    plugin.intercept = () => undefined;
    put("y");
    await pass(60_000);
    expect(states(seen)).toEqual(["x queued", "x queued,y queued"]);
  });

  test("tells the queue of an account now and at each change, by one call that hangs", async () => {
    put("x");
    put("other", "did:plc:bob");
    const seen = vi.fn();
    api.watchWrites({ account: alice }, seen);
    expect(seen).not.toHaveBeenCalled();
    await pass();
    const { id } = put("y");
    await pass();
    plugin.writes.settle(1, "sending");
    await pass();
    plugin.writes.settle(1, "confirmed");
    plugin.writes.settle(id, "failed", { kind: "conflict", message: "no" });
    await pass();
    expect(states(seen)).toEqual(["x queued", "x queued,y queued", "x sending,y queued", "y failed"]);
    const { session } = polls()[0]!.args;
    expect(polls()[0]!.args).toEqual({ session, account: alice, after: 0 });
    expect(plugin.writes.polls.size).toBe(1);
  });

  test("gives unchanged writes as the same objects, and no list where nothing changed", async () => {
    put("x");
    put("y");
    const seen = vi.fn();
    api.watchWrites({ account: alice }, seen);
    await pass();
    plugin.writes.settle(1, "queued");
    await pass();
    await pass(26_000);
    plugin.writes.settle(1, "sending");
    await pass();
    expect(seen).toHaveBeenCalledTimes(2);
    const [before, after] = seen.mock.calls.map(([writes]) => writes as PendingWrite[]);
    expect(after![1]).toBe(before![1]);
    expect(after![0]).not.toBe(before![0]);
  });

  test("shares the call with all listeners and writes of the account, and a late one is told what is known", async () => {
    put("x");
    const [one, two] = [vi.fn(), vi.fn()];
    api.watchWrites({ account: alice }, one);
    await pass();
    api.watchWrites({ account: alice }, two);
    expect(two).not.toHaveBeenCalled();
    await pass();
    expect([states(one), states(two)]).toEqual([["x queued"], ["x queued"]]);
    api.watchWrites({}, vi.fn());
    await pass();
    expect(polls().map(({ args }) => args["account"])).toEqual([alice, alice, undefined, undefined]);
    expect(plugin.writes.polls.size).toBe(2);
  });

  test("asks no more once nobody listens, and anew for the next one", async () => {
    const seen = vi.fn();
    const end = api.watchWrites({ account: alice }, seen);
    await pass();
    end();
    end();
    put("x");
    await pass(60_000);
    expect(seen).toHaveBeenCalledOnce();
    expect([asked().length, plugin.writes.polls.size]).toEqual([2, 0]);
    api.watchWrites({ account: alice }, seen);
    await pass();
    expect(states(seen)).toEqual(["", "x queued"]);
    expect(asked().at(-2)).toBe(0);
  });

  test("calls nobody after the end, not even with what is known", async () => {
    api.watchWrites({ account: alice }, vi.fn());
    await pass();
    const seen = vi.fn();
    api.watchWrites({ account: alice }, seen)();
    put("x");
    await pass();
    expect(seen).not.toHaveBeenCalled();
  });

  test("reports what a listener throws, and tells the others", async () => {
    const report = vi.fn();
    vi.stubGlobal("reportError", report);
    api.watchWrites({}, () => {
      throw new Error("mine");
    });
    const seen = vi.fn();
    api.watchWrites({}, seen);
    await pass();
    expect(seen).toHaveBeenCalledOnce();
    expect(report).toHaveBeenCalledOnce();
  });

  test("does nothing outside Tauri", async () => {
    FakePlugin.uninstall();
    const seen = vi.fn();
    api.watchWrites({}, seen)();
    await pass(60_000);
    expect([seen.mock.calls, warn.mock.calls]).toEqual([[], []]);
    plugin.install();
  });
});

describe("a queue is asked for", () => {
  const anyone = { act: () => Promise.reject(new Error("nobody")) };
  const write = (rkey = "x") => queue.written(put(rkey), alice, anyone);

  test("as long as a write of it is not over, and no longer", async () => {
    const { id } = write("x");
    await pass(80_000);
    expect(plugin.writes.polls.size).toBe(1);
    plugin.writes.settle(id, "failed");
    await pass(80_000);
    expect(plugin.writes.polls.size).toBe(1);
    plugin.writes.settle(id, "confirmed");
    await pass();
    const count = polls().length;
    await pass(80_000);
    expect([polls().length, plugin.writes.polls.size]).toEqual([count, 0]);
  });

  test("by no page that has ended", async () => {
    write();
    await pass();
    page.leave();
    const count = polls().length;
    plugin.writes.settle(1, "sending");
    write("y");
    await pass(80_000);
    expect(polls()).toHaveLength(count);
  });

  test("anew by a page that comes back from the page cache, whose old call is of no more use", async () => {
    const it = write();
    await pass();
    page.leave(true);
    await pass(80_000);
    plugin.writes.settle(it.id, "sent");
    page.comeBack();
    await pass();
    expect(it.state).toBe("sent");
    expect(asked().slice(2)).toEqual([0, expect.any(Number)]);
    expect(plugin.writes.polls.size).toBe(1);
  });

  test("again after an error, ever less often, from the start, with one line in the log", async () => {
    const it = write();
    await pass();
    plugin.intercept = ({ command }) => {
      if (command === "watch_writes") throw { kind: "internal", message: "the disk is gone" };
    };
    plugin.writes.settle(it.id, "sending");
    await pass();
    expect(it.state).toBe("sending");
    const times: number[] = [];
    for (let second = 0; second < 120; second++) {
      const count = polls().length;
      await pass(1000);
      if (polls().length > count) times.push(second + 1);
    }
    expect(times).toEqual([1, 3, 7, 15, 31, 61, 91]);
    expect(asked().slice(-7)).toEqual([0, 0, 0, 0, 0, 0, 0]);
    expect(warn).toHaveBeenCalledOnce();
    plugin.intercept = () => undefined;
    plugin.writes.settle(it.id, "sent");
    await pass(30_000);
    expect(it.state).toBe("sent");
  });

  test("with a pause where Rust answers at once although nothing is new", async () => {
    write();
    plugin.intercept = ({ command }) =>
      command === "watch_writes" ? { rev: 5, whole: false, writes: [] } : undefined;
    await pass(60_000);
    expect(polls().length).toBeLessThan(10);
  });
});

describe("writes that nobody heard of", () => {
  test("are let go when there are more than 1,000, the oldest first; those that somebody waits for are not", async () => {
    const anyone = { act: () => Promise.resolve(null) };
    const first = queue.written(put("first"), alice, anyone);
    const seen = vi.fn();
    first.subscribe(seen);
    const [second, ...others] = Array.from({ length: 1000 }, (_, n) =>
      queue.written(put(`r${n}`), alice, anyone),
    );
    const shown = { ...record("r0"), write: second!.id };
    expect(queue.writeOf({ ...shown, write: others[0]!.id }, alice, anyone)).toBe(others[0]);
    await pass();
    plugin.writes.settle(first.id, "sent");
    plugin.writes.settle(second!.id, "sent");
    await pass();
    expect(seen).toHaveBeenCalledTimes(2);
    expect(second!.state).toBe("queued");
    // Who asks for it now hears of it again.
    void second!.done;
    await pass(30_000);
    expect(second!.state).toBe("sent");
  });
});

describe("nonsense", () => {
  const anyone = { act: () => Promise.resolve(null) };
  const told = (members: object) => ({
    ...{ id: 1, uri: "at://a/b/x", did: "a", collection: "b", rkey: "x", action: "put", state: "sending" },
    ...{ attempts: 1, queuedAt: 5, ...members },
  });

  test.each<[string, unknown]>([
    ["no object", null],
    ["a text", "news"],
    ["no list", { rev: 9, whole: true, writes: { 0: told({}) } }],
    ["no revision", { whole: true, writes: [told({})] }],
    ["a revision that is no number", { rev: "9", whole: true, writes: [told({})] }],
    ["no number", { rev: NaN, whole: true, writes: [told({})] }],
    ["a revision from before", { rev: -1, whole: false, writes: [told({})] }],
  ])("as an answer, such as %s, is an error, after which all is asked for anew", async (_, answer) => {
    const it = queue.written(put(), alice, anyone);
    plugin.intercept = ({ command }) => (command === "watch_writes" ? answer : undefined);
    await pass(500);
    expect([it.state, polls().length]).toEqual(["queued", 1]);
    plugin.intercept = () => undefined;
    plugin.writes.settle(it.id, "sent");
    await pass(1000);
    expect([it.state, asked()[1]]).toEqual(["sent", 0]);
  });

  test.each<[string, unknown]>([
    ["an unknown state", told({ state: "teleported" })],
    ["a state of all objects", told({ state: "constructor" })],
    ["no state", told({ state: undefined })],
    ["no uri", told({ uri: undefined })],
    ["an unknown action", told({ action: "rename" })],
  ])("among the writes, such as %s, leaves that write as it was", async (_, nonsense) => {
    const it = queue.written(put(), alice, anyone);
    const other = queue.written(put("y"), alice, anyone);
    const answer = { rev: 9, whole: true, writes: [null, 7, nonsense, told({ id: 2, state: "sent" })] };
    plugin.intercept = ({ command }) => (command === "watch_writes" ? answer : undefined);
    await pass();
    expect([it.state, other.state]).toEqual(["queued", "sent"]);
  });

  test("that leaves out what is not needed is made good", async () => {
    const answer = { rev: 1, whole: true, writes: [told({ attempts: undefined, error: 7, space: 5 })] };
    plugin.intercept = ({ command }) => (command === "watch_writes" ? answer : undefined);
    const seen = vi.fn();
    api.watchWrites({}, seen);
    await pass();
    expect(seen.mock.calls[0]![0]).toEqual([{ ...told({ attempts: 0 }), error: null }]);
  });

  test("of whatever shape neither throws, nor spins, nor tells of what is no write", async () => {
    const state = fc.constantFrom("queued", "sent", "confirmed", "discarded", "failed", "x", null, undefined);
    const id = fc.oneof(fc.integer({ min: -1, max: 4 }), fc.constant("1"), fc.constant(NaN));
    const one = fc.oneof(
      fc.record({ id, state, error: fc.anything() }).map((it) => told(it)),
      fc.anything(),
    );
    const answer = fc.oneof(
      fc.record(
        {
          rev: fc.oneof(fc.integer({ min: -2, max: 9 }), fc.anything()),
          whole: fc.anything(),
          writes: fc.array(one),
        },
        { requiredKeys: ["rev", "writes"] },
      ),
      fc.anything(),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(answer, { maxLength: 8 }), async (answers) => {
        page.close();
        await fresh();
        const rest = [...answers];
        plugin.intercept = ({ command }) =>
          command === "watch_writes" && rest.length > 0 ? (rest.shift() ?? null) : undefined;
        const it = queue.written(put(), alice, anyone);
        const seen = vi.fn();
        const end = api.watchWrites({ account: alice }, seen);
        await pass(300_000);
        expect(polls().length).toBeLessThan(60);
        for (const [writes] of seen.mock.calls) {
          for (const { id, state } of writes as PendingWrite[]) {
            expect(typeof id).toBe("number");
            expect(["queued", "sent", "failed"]).toContain(state);
          }
        }
        // Whatever came, the truth is known in the end, unless it was told to be over.
        plugin.writes.settle(1, "sending");
        await pass(60_000);
        expect(["sending", "confirmed", "discarded"]).toContain(it.state);
        end();
      }),
      { numRuns: 25 },
    );
  }, 60_000);
});

describe("pendingWrites, discardWrites and nextTid", () => {
  test("give what Rust answers", async () => {
    put("x");
    put("y", "did:plc:bob");
    plugin.writes.settle(1, "failed", { kind: "conflict", message: "no" });
    const mine = await api.pendingWrites({ account: alice });
    expect(mine).toEqual([
      {
        ...{ id: 1, uri: `at://${alice}/com.example.chat.message/x`, did: alice, rkey: "x" },
        ...{ collection: "com.example.chat.message", action: "put", state: "failed" },
        ...{ error: { kind: "conflict", message: "no" }, attempts: 0, queuedAt: expect.any(Number) },
      },
    ]);
    expect(await api.pendingWrites()).toHaveLength(2);
    expect(await api.discardWrites({ account: alice })).toBe(1);
    expect(await api.discardWrites()).toBe(1);
    expect(await api.pendingWrites({})).toEqual([]);
    expect(await api.nextTid()).toMatch(/^[2-7a-z]{13}$/);
  });

  test("refuse what they do not know, and what would take back more than was meant", async () => {
    const refused = { name: "WatchError", kind: "invalid-options" };
    await expect(api.discardWrites({ account: undefined })).rejects.toMatchObject(refused);
    await expect(api.discardWrites(undefined)).rejects.toMatchObject(refused);
    await expect(api.discardWrites({ acount: alice } as never)).rejects.toMatchObject(refused);
    await expect(api.discardWrites(alice as never)).rejects.toMatchObject(refused);
    await expect(api.pendingWrites({ account: 7 } as never)).rejects.toMatchObject(refused);
    await expect(api.pendingWrites({ account: "" })).rejects.toMatchObject(refused);
    expect(() => api.watchWrites({ acount: alice } as never, () => {})).toThrow(/"acount" is unknown/);
    expect(() => api.watchWrites({}, undefined as never)).toThrow(/a listener is needed/);
    expect(plugin.calls).toEqual([]);
  });

  test("are errors where the answer is none", async () => {
    plugin.intercept = () => ({});
    for (const asked of [api.pendingWrites(), api.discardWrites(), api.nextTid()]) {
      await expect(asked).rejects.toMatchObject({ name: "WatchError", kind: "internal" });
    }
  });
});
