import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { FakePlugin } from "./testing/fake-plugin.js";
import { answerLate, Page } from "./testing/page.js";
import { texts } from "./testing/records.js";
import { gate, settled } from "./testing/until.js";
import type { WatchStore } from "./types.js";
import type { NewRecord } from "./writing.js";

const alice = "did:plc:alice";

let page: Page;
let plugin: FakePlugin;

beforeEach(async () => {
  page = await Page.open();
  plugin = page.plugin;
});
afterEach(() => page.close());

const hi = (rkey?: string): NewRecord => ({ did: alice, value: { text: `${rkey ?? "it"} hi` }, rkey });
const sent = (command: string) => plugin.calls.filter((call) => call.command === command);
const keys = () => sent("put_record").map(({ args }) => (args["write"] as { rkey?: string }).rkey);

describe("a record that is put", () => {
  test("is on disk and in the list once the promise is fulfilled with its write", async () => {
    const store = await page.started();
    const write = await store.put(hi("new"));
    expect(plugin.writes.pending()).toHaveLength(1);
    expect(write).toMatchObject({
      id: 1,
      uri: `at://${alice}/com.example.chat.message/new`,
      ...{ did: alice, collection: "com.example.chat.message", rkey: "new", action: "put" },
      ...{ state: "queued", error: null },
    });
    await vi.waitFor(() => expect(texts(store.records)).toEqual(["new hi", "b v0", "a v0"]));
    expect(store.records[0]).toMatchObject({ optimistic: "pending", write: 1 });
  });

  test("travels with all its members and no other, and Rust makes the key that it lacks", async () => {
    const store = await page.started();
    const all = {
      ...{ did: alice, rkey: "x", collection: "com.example.like", value: { n: [1, null] } },
      ...{ space: "ats://did:plc:alice/com.example.space/one", time_us: 7 },
    };
    await store.put({ ...all, uri: "at://nobody", cid: null } as never);
    const { rkey } = await store.put({ did: alice, value: {} });
    expect(sent("put_record").map(({ args }) => args["write"])).toEqual([all, { did: alice, value: {} }]);
    expect(rkey).toMatch(/^[2-7a-z]{13}$/);
  });

  test("is what it was at the call", async () => {
    const store = page.make();
    store.start();
    const value = { text: "before" };
    const written = store.put({ did: alice, value });
    value.text = "after";
    await written;
    expect(sent("put_record")[0]!.args["write"]).toMatchObject({ value: { text: "before" } });
  });

  test("is one write although Tauri repeats the call, and two calls are two", async () => {
    plugin.twice.add("put_record");
    const store = await page.started();
    await store.put(hi("x"));
    await store.put(hi("y"));
    expect(plugin.writes.pending().map(({ id }) => id)).toEqual([1, 2]);
    expect(new Set(sent("put_record").map(({ args }) => args["nonce"])).size).toBe(2);
  });

  test("is there again after a reload, as the write that it was", async () => {
    const store = await page.started();
    await store.put(hi("new"));
    const next = await page.reload();
    const again = await next.started();
    await vi.waitFor(() => expect(texts(again.records)).toEqual(["new hi", "b v0", "a v0"]));
    expect(again.writeOf(again.records[0]!)).toMatchObject({ id: 1, rkey: "new" });
    next.close();
  });

  test("waits for a store that opens, in the order of the calls", async () => {
    const answer = gate();
    plugin.intercept = ({ command }) => (command === "open_watch" ? answer.opened : undefined);
    const store = page.make();
    store.start();
    const writes = ["x", "y", "z"].map((rkey) => store.put(hi(rkey)));
    const last = store.delete("a");
    await settled();
    expect(keys()).toEqual([]);
    answer.open();
    expect((await Promise.all([...writes, last])).map(({ id }) => id)).toEqual([1, 2, 3, 4]);
  });

  test("goes only when the one before it is answered", async () => {
    const store = await page.started();
    const first = gate();
    plugin.intercept = ({ command }) =>
      command === "put_record" && keys().length === 1 ? first.opened : undefined;
    const writes = [store.put(hi("x")), store.put(hi("y"))];
    await settled();
    expect(keys()).toEqual(["x"]);
    first.open();
    await Promise.all(writes);
    expect(keys()).toEqual(["x", "y"]);
  });

  test("goes although the one before it was refused", async () => {
    const store = await page.started();
    plugin.intercept = () => {
      if (keys().length === 1) throw { kind: "too-many", message: "the queue is full" };
    };
    const refused = store.put(hi("x"));
    const made = store.put(hi("y"));
    await expect(refused).rejects.toMatchObject({ name: "WatchError", kind: "too-many" });
    await expect(made).resolves.toMatchObject({ rkey: "y" });
  });

  test("holds the next one up for 10 s at most where it is never answered", async () => {
    const store = await page.started();
    plugin.intercept = ({ command }) =>
      command === "put_record" && keys().length === 1 ? gate().opened : undefined;
    vi.useFakeTimers();
    void store.put(hi("x"));
    const next = store.put(hi("y"));
    await vi.advanceTimersByTimeAsync(9999);
    expect(keys()).toEqual(["x"]);
    await vi.advanceTimersByTimeAsync(1);
    vi.useRealTimers();
    await expect(next).resolves.toMatchObject({ rkey: "y" });
  });

  test("is asked for once more under the handle that takes the place of a lost one, as the same write", async () => {
    const store = await page.started();
    plugin.forget();
    await expect(store.put(hi("x"))).resolves.toMatchObject({ id: 1 });
    const calls = sent("put_record");
    expect(calls.map(({ handle }) => handle)).toEqual([1, 2]);
    expect(calls[0]!.args["nonce"]).toBe(calls[1]!.args["nonce"]);
  });

  test("is given up where the new handle is lost, too", async () => {
    const store = await page.started();
    plugin.intercept = ({ command }) => {
      if (command === "put_record") throw { kind: "unknown-watch", message: "no such handle" };
    };
    await expect(store.put(hi("x"))).rejects.toMatchObject({ kind: "unknown-watch" });
    expect(sent("put_record")).toHaveLength(2);
  });

  test("is refused where 1,000 wait already", async () => {
    const store = page.make();
    plugin.intercept = ({ command }) => (command === "open_watch" ? gate().opened : undefined);
    store.start();
    const waiting = Array.from({ length: 1000 }, () => store.put(hi()).catch(() => {}));
    await expect(store.put(hi())).rejects.toMatchObject({ kind: "too-many" });
    store.stop();
    await Promise.all(waiting);
  });
});

describe("a store that is not started", () => {
  const refused = { name: "WatchError", kind: "stopped" };

  test("refuses writes", async () => {
    const store = page.make();
    await expect(store.put(hi())).rejects.toMatchObject(refused);
    await expect(store.delete("a")).rejects.toMatchObject(refused);
    store.start();
    await store.ready;
    store.stop();
    await expect(store.put(hi())).rejects.toMatchObject(refused);
    store.destroy();
    await expect(store.put(hi())).rejects.toMatchObject({ ...refused, message: "the store was destroyed" });
    expect(sent("put_record")).toEqual([]);
  });

  test("refuses them with the error that it closed with", async () => {
    plugin.intercept = ({ command }) => {
      if (command === "open_watch") throw { kind: "not-allowed", message: "no" };
    };
    const store = page.make();
    store.start();
    await expect(store.put(hi())).rejects.toMatchObject({ kind: "not-allowed" });
    await expect(store.put(hi())).rejects.toMatchObject({ kind: "not-allowed" });
  });

  test.each(["stop", "destroy"] as const)(
    "refuses those that waited for it to open, after %s()",
    async (end) => {
      const answer = gate();
      plugin.intercept = ({ command }) => (command === "open_watch" ? answer.opened : undefined);
      const store = page.make();
      store.start();
      const written = store.put(hi());
      store[end]();
      await expect(written).rejects.toMatchObject(refused);
      answer.open();
      await settled();
      expect(sent("put_record")).toEqual([]);
    },
  );

  test("still says what became of one that was on its way", async () => {
    const store = await page.started();
    const answer = gate();
    answerLate("put_record", answer);
    const written = store.put(hi("x"));
    await vi.waitFor(() => expect(sent("put_record")).toHaveLength(1));
    store.stop();
    answer.open();
    await expect(written).resolves.toMatchObject({ id: 1, rkey: "x" });
  });
});

describe("what cannot be sent", () => {
  const circle: Record<string, unknown> = {};
  circle["it"] = circle;
  const put = (members: object) => (store: WatchStore) =>
    store.put({ rkey: "x", did: alice, value: {}, ...members } as never);
  const wrong: [string, string, (store: WatchStore) => Promise<unknown>][] = [
    ["no record", "put: a record is needed, not Undefined", (it) => it.put(undefined as never)],
    ["no did", "put: did is Undefined, it must be a string", put({ did: undefined })],
    ["an empty key", "put: rkey is empty", put({ rkey: "" })],
    ["a space that is none", "put: space is Null, it must be a string", put({ space: null })],
    ["a time in words", "put: time_us is String, it must be a number", put({ time_us: "1" })],
    ["a time that is none", "put.time_us: cannot send NaN", put({ time_us: NaN })],
    ["no value", "put: value is undefined", put({ value: undefined })],
    ["a big integer", "put.value.n: cannot send a BigInt", put({ value: { n: 1n } })],
    ["a function", "put.value.f[0]: cannot send a Function", put({ value: { f: [() => {}] } })],
    ["a hole", "put.value[0]: cannot send undefined", put({ value: [undefined] })],
    ["half an emoji", "put.value.text: cannot send half", put({ value: { text: "\ud83d" } })],
    ["half a key", "put.rkey: cannot send half", put({ rkey: "\udc00" })],
    ["a circle", "more than 100 levels, or holds itself", put({ value: circle })],
    ["a value of more than 1 MiB", "bytes as JSON, more than 1048576", put({ value: "é".repeat(524_288) })],
    ["no key", "delete: rkey is Undefined, it must be a string", (it) => it.delete(undefined as never)],
    ["nobody", "delete: did is Null, it must be a string", (it) => it.delete("x", null as never)],
  ];

  test.each(wrong)("such as %s is refused by its name, before anything is sent", async (_, why, write) => {
    const store = await page.started();
    const { records } = store;
    const error = await write(store).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ name: "WatchError", kind: "invalid-options" });
    expect((error as Error).message).toContain(why);
    expect([...sent("put_record"), ...sent("delete_record")]).toEqual([]);
    expect(store.records).toBe(records);
  });

  test("is not a value of 1 MiB, to the byte", async () => {
    const store = await page.started();
    const value = "é".repeat(524_287) as never;
    await expect(store.put({ did: alice, value })).resolves.toMatchObject({ id: 1 });
  });
});

test.each([null, 7, "written", {}, { id: "1" }, { id: 1, uri: "at://x" }])(
  "an answer that is no write, such as %j, is an error and not a write",
  async (answer) => {
    const store = await page.started();
    plugin.intercept = ({ command }) => (command === "put_record" ? answer : undefined);
    await expect(store.put(hi())).rejects.toMatchObject({ name: "WatchError", kind: "internal" });
  },
);

test("what Rust refuses is the error of the promise, and nothing shows", async () => {
  const store = await page.started();
  const { records } = store;
  plugin.intercept = ({ command }) => {
    if (command === "put_record") throw { kind: "invalid-options", message: "rkey has more than 512 bytes" };
  };
  await expect(store.put(hi())).rejects.toMatchObject({ message: "rkey has more than 512 bytes" });
  await settled();
  expect(store.records).toBe(records);
});

describe("a record that is deleted", () => {
  test("leaves the list at once and for good, and the others keep their objects", async () => {
    const store = await page.started();
    const [, a] = store.records;
    const write = await store.delete("b", alice);
    expect(write).toMatchObject({ action: "delete", rkey: "b", state: "queued" });
    await vi.waitFor(() => expect(store.records).toEqual([a]));
    expect(store.records[0]).toBe(a);
    const { records } = store;
    await plugin.caughtUp();
    await plugin.confirm(write.id);
    await plugin.caughtUp();
    expect(store.records).toBe(records);
  });

  test("shows as what it is with the option showDeleted", async () => {
    const store = await page.started({ showDeleted: true });
    const { id } = await store.delete("b");
    await vi.waitFor(() => expect(store.records[0]).toMatchObject({ rkey: "b", deleted: true, write: id }));
    expect(store.writeOf(store.records[0]!)).toMatchObject({ action: "delete" });
  });

  test("is back, and says why, where the server refused it", async () => {
    const store = await page.started();
    const [b, a] = store.records;
    const { id } = await store.delete("b");
    await vi.waitFor(() => expect(store.records).toEqual([a]));
    plugin.writes.settle(id, "failed", { kind: "conflict", message: "changed" }, { text: "other" });
    await vi.waitFor(() => expect(store.records).toHaveLength(2));
    expect(store.records[0]).toMatchObject({
      ...{ rkey: "b", deleted: true, optimistic: "failed", value: b!.value },
      ...{ optimisticError: { name: "conflict", message: "changed" }, serverValue: { text: "other" } },
    });
    await store.writeOf(store.records[0]!)!.discard();
    await vi.waitFor(() => expect(store.records).toEqual([b, a]));
    expect(store.records[1]).toBe(a);
  });

  test("does not bring a new list where only what is hidden changes", async () => {
    const store = await page.started();
    plugin.writes.settle((await store.delete("b")).id, "sending");
    await vi.waitFor(() => expect(store.records).toHaveLength(1));
    await plugin.caughtUp();
    const seen = vi.fn();
    store.subscribe(seen);
    const { acked } = plugin.opens.get(1)!;
    expect((await store.delete("b")).id).toBe(2);
    await vi.waitFor(() => expect(plugin.opens.get(1)!.acked).toBeGreaterThan(acked));
    expect(seen).toHaveBeenCalledOnce();
  });

  test("counts among the records that a store may have", async () => {
    plugin.cursor = "older";
    const store = await page.started({ maxRecords: 2 });
    await store.delete("b");
    await vi.waitFor(() => expect(store.records).toHaveLength(1));
    expect(store.hasMore).toBe(false);
  });
});

test.each<[string, Record<string, unknown>, string]>([
  ["sender", { sender: "page" }, "sender: no function or { sender }"],
  ["sender", { sender: { sender: 1 } }, "sender: no function or { sender }"],
  ["sender", { sender: null }, "sender: no function or { sender }"],
  ["showDeleted", { showDeleted: "yes" }, "showDeleted is String, it must be a boolean"],
])("a wrong option %s closes the store by its name", async (_, options, why) => {
  const store = page.make(options);
  store.start();
  expect(store.error).toMatchObject({ kind: "invalid-options", message: why });
});

test("Rust is told who sends, and nothing of what only the page does", async () => {
  await page.started({ sender: { sender: "server" }, showDeleted: true });
  await page.started({ sender: () => {} });
  await page.started({ sender: undefined, showDeleted: undefined });
  const options = sent("open_watch").map(({ args }) => args["options"]);
  const url = "/xrpc/com.example.message.watchRecords";
  expect(options).toEqual([{ url, sender: { sender: "server" } }, { url, sender: "page" }, { url }]);
});
