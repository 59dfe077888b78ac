import { reactive, ref } from "vue";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { FakePlugin } from "./testing/fake-plugin.js";
import { answerLate, Page } from "./testing/page.js";
import { gate, settled } from "./testing/until.js";
import { state } from "./testing/kept.svelte.js";
import type { WatchStore } from "./types.js";
import type { WritePayload } from "./wire-writes.js";
import type { Write } from "./writing.js";

const alice = "did:plc:alice";
const conflict = { kind: "conflict", message: "somebody else was faster" };

let page: Page;
let plugin: FakePlugin;
let store: WatchStore;

beforeEach(async () => {
  page = await Page.open();
  plugin = page.plugin;
  store = await page.started({ account: alice });
});
// A rejection that nobody handled fails the run.
afterEach(async () => {
  await settled();
  page.close();
});

const put = (rkey = "new") => store.put({ did: alice, rkey, value: { text: "hi" } });
const settle = (id: number, ...how: [WritePayload["state"], typeof conflict?]) =>
  plugin.writes.settle(id, ...how);
const becomes = (write: Write, state: string) => vi.waitFor(() => expect(write.state).toBe(state));
const polls = () => plugin.calls.filter(({ command }) => command === "watch_writes");
const recordOf = (id: number) =>
  vi.waitFor(() => {
    const record = store.records.find(({ write }) => write === id);
    expect(record).toBeDefined();
    return record!;
  });

describe("a write", () => {
  test("has the state that Rust tells, whoever it is told by, and tells its listeners", async () => {
    const write = await put();
    const seen: string[] = [];
    write.subscribe((it) => seen.push(`${it.state} ${it.error?.kind ?? "-"} ${it === write}`));
    expect(seen).toEqual(["queued - true"]);
    settle(write.id, "sending");
    await becomes(write, "sending");
    settle(write.id, "queued", { kind: "connect", message: "no network" });
    await becomes(write, "queued");
    settle(write.id, "sent");
    await becomes(write, "sent");
    settle(write.id, "confirmed");
    await becomes(write, "confirmed");
    expect(seen).toEqual(
      ["queued -", "sending -", "queued connect", "sent -", "confirmed -"].map((it) => `${it} true`),
    );
  });

  test("tells nobody who has ended that, nor of what is no change", async () => {
    const write = await put();
    const [one, two] = [vi.fn(), vi.fn()];
    const end = write.subscribe(one);
    write.subscribe(two);
    end();
    settle(write.id, "queued");
    settle((await put("other")).id, "sending");
    settle(write.id, "sending");
    await becomes(write, "sending");
    expect([one, two].map(({ mock }) => mock.calls.length)).toEqual([1, 2]);
  });

  test("tells all its listeners, whatever one of them throws", async () => {
    const report = vi.fn();
    vi.stubGlobal("reportError", report);
    const write = await put();
    write.subscribe(() => {
      throw new Error("mine");
    });
    const seen = vi.fn();
    write.subscribe(seen);
    settle(write.id, "sending");
    await vi.waitFor(() => expect(seen).toHaveBeenCalledTimes(2));
    expect(report).toHaveBeenCalledTimes(2);
  });

  test("is one object for its id, for whoever asks", async () => {
    const write = await put();
    const record = await recordOf(write.id);
    expect(store.writeOf(record)).toBe(write);
    const other = await page.started({ account: alice });
    await vi.waitFor(() => expect(other.writeOf(other.records[0]!)).toBe(write));
    settle(write.id, "confirmed");
    await becomes(write, "confirmed");
    // A record that the page shows a moment longer.
    expect(store.writeOf(record)).toBe(write);
  });

  test("is nobody's where a record waits for none", () => {
    expect(store.writeOf(store.records[0]!)).toBeUndefined();
    expect(store.writeOf({ write: "1" } as never)).toBeUndefined();
    expect(store.writeOf(undefined as never)).toBeUndefined();
  });

  test.each<[string, (write: Write) => Write]>([
    ["Vue's ref", (write) => ref(write).value],
    ["Vue's reactive", (write) => reactive({ write }).write],
    ["Svelte's $state", (write) => state({ write } as never as { store: never }) as never],
    ["a proxy", (write) => new Proxy(write, {})],
  ])("works as well where it is kept in %s", async (_, keep) => {
    const write = await put();
    const kept = keep(write);
    const { subscribe, discard } = "write" in kept ? (kept["write"] as Write) : kept;
    const seen = vi.fn();
    subscribe(seen);
    await discard();
    expect(seen).toHaveBeenLastCalledWith(write);
    expect(write.state).toBe("discarded");
  });
});

describe("done", () => {
  test.each(["sent", "unconfirmed", "confirmed"] as const)(
    "is fulfilled when the write is %s",
    async (how) => {
      const write = await put();
      settle(write.id, how);
      await expect(write.done).resolves.toBeUndefined();
      expect(write.state).toBe(how);
    },
  );

  test("is rejected with why the write failed", async () => {
    const write = await put();
    settle(write.id, "failed", conflict);
    await expect(write.done).rejects.toMatchObject({ name: "WatchError", ...conflict });
    expect(write.error).toEqual(conflict);
  });

  test("is rejected when the write is taken back, by whom or what it may be", async () => {
    const [one, two] = [await put("x"), await put("y")];
    settle(one.id, "discarded");
    settle(two.id, "discarded", { kind: "access-lost", message: "removed from the space" });
    await expect(one.done).rejects.toMatchObject({ name: "WatchError", kind: "discarded" });
    await expect(two.done).rejects.toMatchObject({ kind: "access-lost", message: "removed from the space" });
  });

  test("disturbs nobody who does not await it", async () => {
    const write = await put();
    void write.done;
    settle(write.id, "failed", conflict);
    await becomes(write, "failed");
    const other = await put("x");
    await other.discard();
    // See `afterEach`.
  });

  test("stays the same promise as long as nothing is tried again", async () => {
    const write = await put();
    const { done } = write;
    settle(write.id, "sending");
    await becomes(write, "sending");
    expect(write.done).toBe(done);
    settle(write.id, "sent");
    await done;
    settle(write.id, "confirmed");
    await becomes(write, "confirmed");
    expect(write.done).toBe(done);
  });
});

describe("retry", () => {
  async function failed(): Promise<Write> {
    const write = await put();
    settle(write.id, "sending");
    settle(write.id, "failed", conflict);
    await becomes(write, "failed");
    return write;
  }

  test("sends a failed write again, and is fulfilled when that is sent", async () => {
    const write = await failed();
    const first = write.done;
    const again = write.retry();
    await becomes(write, "queued");
    expect(write.error).toBeNull();
    expect(write.done).not.toBe(first);
    settle(write.id, "sending");
    settle(write.id, "sent");
    await expect(again).resolves.toBeUndefined();
    await expect(write.done).resolves.toBeUndefined();
    await expect(first).rejects.toMatchObject(conflict);
  });

  test("is rejected when it fails again, also where that was all that was told", async () => {
    const write = await failed();
    plugin.intercept = ({ command }) => {
      if (command !== "retry_write") return undefined;
      // Before Rust has answered.
      settle(write.id, "sending");
      settle(write.id, "failed", { kind: "expired", message: "too late" });
      return settled().then(() => null);
    };
    await expect(write.retry()).rejects.toMatchObject({ kind: "expired" });
    expect(write.state).toBe("failed");
  });

  test("is not answered by the failure before it, which was told while Rust was asked", async () => {
    const { id } = await failed();
    const record = await recordOf(id);
    const next = await page.reload();
    const fresh = await next.started({ account: alice });
    const write = fresh.writeOf(record)!;
    const again = write.retry();
    await vi.waitFor(() => expect(plugin.handles("retry_write")).toHaveLength(1));
    await becomes(write, "queued");
    settle(id, "sending");
    settle(id, "sent");
    await expect(again).resolves.toBeUndefined();
    next.close();
  });

  test("disturbs nobody who does not await it, and shows in the state", async () => {
    const write = await failed();
    plugin.intercept = ({ command }) => {
      if (command === "retry_write") throw { kind: "not-written", message: "no such write" };
    };
    void write.retry();
    await settled();
    expect(write.state).toBe("failed");
  });

  test("asks Rust no more once all is over", async () => {
    const write = await put();
    settle(write.id, "confirmed");
    await becomes(write, "confirmed");
    await expect(write.retry()).resolves.toBeUndefined();
    expect(plugin.handles("retry_write")).toEqual([]);
  });
});

describe("discard", () => {
  test("lets a write go that the server has taken, which is not taken back by that", async () => {
    const write = await put();
    settle(write.id, "sent");
    await becomes(write, "sent");
    await write.discard();
    expect(write.state).toBe("confirmed");
    await write.done;
  });

  test("says what Rust knows, where the server has taken the write unknown to the page", async () => {
    const write = await put();
    // The page hears of the next change, and of none after it.
    plugin.intercept = ({ command }) => (command === "watch_writes" ? new Promise(() => {}) : undefined);
    settle(write.id, "sending");
    await becomes(write, "sending");
    settle(write.id, "sent");
    await write.discard();
    expect(write.state).toBe("confirmed");
    await write.done;
  });

  test("takes a write back, and what the server has is shown", async () => {
    const records = store.records;
    const write = await put("b");
    await vi.waitFor(() => expect(store.records[0]?.write).toBe(write.id));
    await write.discard();
    expect([write.state, write.error]).toEqual(["discarded", null]);
    await vi.waitFor(() => expect(store.records).toEqual(records));
    await write.discard();
    expect(plugin.handles("discard_write")).toHaveLength(1);
  });

  test("is fulfilled as often as it is asked for, be the page told or not", async () => {
    const write = await put();
    settle(write.id, "failed", conflict);
    await becomes(write, "failed");
    await Promise.all([write.discard(), write.discard()]);
    expect(write.state).toBe("discarded");
  });

  test("says what Rust knows of a write that is over unknown to the page", async () => {
    const write = await put();
    plugin.intercept = ({ command }) => (command === "watch_writes" ? new Promise(() => {}) : undefined);
    settle(write.id, "sending");
    await becomes(write, "sending");
    settle(write.id, "confirmed");
    await write.discard();
    expect(write.state).toBe("confirmed");
  });

  test("is rejected where there is nothing to take back any more", async () => {
    const write = await put();
    settle(write.id, "confirmed");
    await becomes(write, "confirmed");
    await expect(write.discard()).rejects.toMatchObject({ name: "WatchError", kind: "not-written" });
    expect(write.state).toBe("confirmed");
  });
});

test("a write acts by the store that was asked for it last, and not by one that is stopped", async () => {
  const write = await put();
  store.stop();
  await expect(write.discard()).rejects.toMatchObject({ name: "WatchError", kind: "stopped" });
  await expect(write.retry()).rejects.toMatchObject({ kind: "stopped" });
  const other = await page.started({ account: alice });
  await vi.waitFor(() => expect(other.writeOf(other.records[0]!)).toBe(write));
  await write.discard();
  expect(write.state).toBe("discarded");
});

test("a write of a store that stopped is still told of", async () => {
  const write = await put();
  store.destroy();
  settle(write.id, "sent");
  await write.done;
});

test("a write that a record names before Rust has told of it becomes what Rust tells", async () => {
  const { id } = await put();
  settle(id, "sending");
  const record = await recordOf(id);
  const next = await page.reload();
  const other = await next.started({ account: alice });
  const write = other.writeOf(record)!;
  expect(write).toMatchObject({ id, rkey: "new", action: "put", state: "queued", error: null });
  await becomes(write, "sending");
  next.close();
});

test("a write that is gone without a word was sent if the server had taken it, and is lost if not", async () => {
  const [taken, open] = [await put("x"), await put("y")];
  settle(taken.id, "sent");
  await taken.done;
  plugin.writes.rows.clear();
  page.leave(true);
  page.comeBack();
  await becomes(taken, "confirmed");
  await becomes(open, "discarded");
  await expect(open.done).rejects.toMatchObject({ name: "WatchError", kind: "lost" });
});

test("a write that failed before the answer to it came has failed", async () => {
  const first = await put("first");
  const late = gate();
  answerLate("put_record", late);
  const putting = put("second");
  await vi.waitFor(() => expect(plugin.writes.rows.has(first.id + 1)).toBe(true));
  settle(first.id + 1, "sending");
  settle(first.id + 1, "failed", conflict);
  await settled();
  late.open();
  const write = await putting;
  await expect(write.done).rejects.toMatchObject({ kind: "conflict" });
});

test("a write that is made while everything is being told is not lost for not being there", async () => {
  const answer = gate();
  plugin.intercept = ({ command }) =>
    command === "watch_writes" && polls().length === 1
      ? answer.opened.then(() => ({ rev: 5, whole: true, writes: [] }))
      : undefined;
  const first = await put("x");
  const second = await put("y");
  answer.open();
  await becomes(first, "discarded");
  await vi.waitFor(() => expect(polls().length).toBeGreaterThan(1));
  expect(second.state).toBe("queued");
});

test("a write that a sender has is out only once that has come to nothing", async () => {
  for (const end of ["sent", "discarded"] as const) {
    const write = await put(end);
    settle(write.id, "sending");
    let isOver = false;
    const discarded = write.discard().then(() => (isOver = true));
    await vi.waitFor(() => expect(plugin.handles("discard_write").length).toBeGreaterThan(0));
    await settled();
    expect([write.state, isOver]).toEqual(["sending", false]);
    settle(write.id, end);
    await discarded;
    expect(write.state).toBe(end);
  }
});

test("a write that was changed in its place is another action", async () => {
  const write = await put();
  plugin.writes.rows.get(write.id)!.told.action = "delete";
  settle(write.id, "sending");
  await becomes(write, "sending");
  expect(write.action).toBe("delete");
});
