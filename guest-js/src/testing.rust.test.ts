// The fake says no where Rust does, and shows what Rust shows: else an app's test would pass, and the app fail.
import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import {
  cacheInfo,
  clearCache,
  clearTickets,
  createWatchStore,
  discardWrites,
  pendingWrites,
  setSecret,
  type WatchStore,
  type WatchStoreOptions,
} from "./index.js";
import { fakeContrailSync, type FakeContrailSync, type FakeList } from "./testing.js";

const alice = "did:plc:alice";
const bob = "did:plc:bob";
const url = `/xrpc/com.example.message.listRecords?actor=${alice}`;

interface Message {
  text: string;
  room?: string;
}

let appview: FakeContrailSync;
let list: FakeList<Message>;
beforeEach(() => {
  appview = fakeContrailSync();
  list = appview.watch<Message>(url);
});
afterEach(() => appview.restore());

const record = (rkey: string, text = rkey) => ({ rkey, value: { text } });
const texts = ({ records }: Pick<WatchStore<Message>, "records">) => records.map(({ value }) => value.text);

type Options = Partial<WatchStoreOptions<Message>>;

function started(options: Options = {}): WatchStore<Message> {
  const store = createWatchStore<Message>({ url, logger: {}, ...options });
  store.start();
  return store;
}

/** A store that may write, by a sender of which the test says what it does. */
const writing = (options: Options = {}) => started({ account: alice, sender: { sender: "pds" }, ...options });

const put = (store: WatchStore<Message>, rkey: string, text: string) =>
  store.put({ did: alice, rkey, value: { text } });

const states = async () => (await pendingWrites()).map(({ id, state }) => `${id} ${state}`);

describe("options that Rust refuses", () => {
  interface Wrong {
    given: Record<string, unknown>;
    rust?: string;
  }
  const fixture = new URL("../../tests/fixtures/wrong-options.json", `file://${import.meta.filename}`);
  const table: Wrong[] = JSON.parse(readFileSync(fixture, "utf8"));
  // Which names the app registered nobody told the fake.
  const known = table.filter(({ rust }) => rust && !rust.includes("is registered"));

  test.each(known)("are refused in its words: $rust", async ({ given, rust }) => {
    const store = started(given as Options);
    await appview.settled();
    expect(store).toMatchObject({ status: "closed" });
    expect(store.error).toMatchObject({ kind: "invalid-options", message: `invalid options: ${rust}` });
  });

  test.each([
    ["invalid-url", { url: "ftp://x.test/a.watchRecords" }, "its scheme is ftp"],
    ["invalid-url", { url: "https://a:b@x.test/a.watchRecords" }, "user name or password"],
    ["invalid-url", { url: "/a.watchRecords?ticket=t" }, "give it as mintTicket"],
    ["invalid-options", { url: `/${"x".repeat(9000)}` }, "url has 9001 bytes, it may have 8192"],
    ["invalid-options", { pollInterval: 100 }, "pollInterval is 100 ms, it may be 2000 to 3600000"],
    ["invalid-options", { transport: "poll", mintTicket: "t" }, "cannot follow a ticket"],
    ["invalid-options", { where: { "value.a..b": 1 } }, "is not named value.<field>"],
  ] as const)("are refused: %s for what $2 tells", async (kind, options, message) => {
    const store = started(options as Options);
    await appview.settled();
    expect(store.error).toMatchObject({ kind, message: expect.stringContaining(message) });
  });

  test("cache: true is one of them in an app without a cache", async () => {
    appview = fakeContrailSync({ cache: false });
    const store = started({ cache: true });
    await appview.settled();
    expect(store.error?.kind).toBe("unsupported");
    expect(await cacheInfo()).toBeNull();
  });
});

describe("a write that Rust refuses", () => {
  test.each([
    ["without a sender", { sender: undefined }, {}, "this watch has no sender"],
    ["of too long a key", {}, { rkey: "x".repeat(513) }, "rkey has 513 bytes, it may have 1 to 512"],
    ["in a collection that nothing tells", {}, {}, "collection is missing"],
  ] as const)("%s is refused", async (_, options, more, message) => {
    const store = writing(options as Options);
    await list.snapshot(message.startsWith("collection") ? [] : [record("1")]);
    const write = store.put({ did: alice, value: { text: "hi" }, ...more });
    const refusal = { kind: "invalid-options", message: expect.stringContaining(message) };
    await expect(write).rejects.toMatchObject(refusal);
    expect(await states()).toEqual([]);
  });

  test("a deletion of what is not shown needs its author, and is one then", async () => {
    const store = writing();
    await list.snapshot([record("1")]);
    await expect(store.delete("9")).rejects.toMatchObject({ kind: "invalid-options" });
    expect(await store.delete("9", alice)).toMatchObject({ uri: `at://${alice}/com.example.message/9` });
    expect(texts(store)).toEqual(["1"]);
  });

  test("is another account's to send again or take back", async () => {
    const [mine, theirs] = [writing(), writing({ account: bob })];
    await list.snapshot([record("1")]);
    const { id } = await put(mine, "1", "edited");
    const other = theirs.writeOf({ ...theirs.records[0]!, write: id })!;
    await expect(other.discard()).rejects.toMatchObject({ kind: "not-written" });
  });
});

describe("a write that waits", () => {
  test("and was not tried is changed in its place, also into a deletion", async () => {
    const store = writing();
    await list.snapshot([record("1")]);
    await appview.offline();
    const first = await put(store, "9", "a");
    const second = await put(store, "9", "b");
    expect(second).toBe(first);
    expect(appview.writes).toMatchObject([{ id: first.id, action: "put", value: { text: "b" } }]);
    await appview.settled();
    expect(texts(store)).toEqual(["b", "1"]);
    await store.delete("9");
    await appview.settled();
    expect(await states()).toEqual([`${first.id} queued`]);
    expect(appview.writes[0]).toMatchObject({ action: "delete" });
    expect(texts(store)).toEqual(["1"]);
  });

  test("and was tried is left as it is: the next one waits behind it, and is what there is to wait for", async () => {
    const store = writing();
    await list.snapshot([record("1")]);
    const first = await put(store, "9", "a");
    await appview.writes[0]!.sending();
    await appview.writes[0]!.later();
    const second = await put(store, "9", "b");
    expect(second.id).not.toBe(first.id);
    await appview.writes[0]!.sent();
    expect(first.state).toBe("confirmed");
    expect(await states()).toEqual([`${second.id} queued`]);
    await first.done;
  });

  test("by another sender is no other form of it", async () => {
    const [one, other] = [writing(), writing({ sender: { sender: "other" } })];
    await list.snapshot([record("1")]);
    await put(one, "9", "a");
    await put(other, "9", "b");
    expect(appview.writes.map(({ value }) => value)).toEqual([{ text: "a" }, { text: "b" }]);
  });

  test("is sent at once if it is tried again, as one that has failed", async () => {
    const sender = vi.fn().mockRejectedValueOnce(new Error("busy"));
    const store = writing({ sender });
    await list.snapshot([record("1")]);
    const write = await put(store, "9", "a");
    await appview.settled();
    expect(write).toMatchObject({ state: "queued", error: { kind: "sender-failed" } });
    await write.retry();
    expect(sender).toHaveBeenCalledTimes(2);
  });

  test("waits through a logout, until a watch of its account is opened again", async () => {
    const sender = vi.fn();
    const store = writing({ sender });
    await list.snapshot([record("1")]);
    await clearTickets();
    await put(store, "9", "a");
    await appview.settled();
    expect(sender).not.toHaveBeenCalled();
    store.stop();
    store.start();
    await appview.settled();
    expect(sender).toHaveBeenCalledOnce();
  });
});

describe("a sender of the page", () => {
  test("gets the version that was changed, whatever the list has by then", async () => {
    const sender = vi.fn();
    const store = writing({ sender });
    await list.snapshot([record("1")]);
    const swap = store.records[0]!.cid;
    await appview.offline();
    await put(store, "1", "mine");
    await list.update({ rkey: "1", value: { text: "theirs" } });
    await appview.online();
    expect(sender.mock.lastCall![0]).toMatchObject({ swap });
    expect(list.records[0]!.cid).not.toBe(swap);
  });

  test("takes the place of whatever is there after a conflict, if the user says so", async () => {
    const refused = { kind: "conflict", message: "somebody was faster" };
    const sender = vi.fn().mockReturnValueOnce({ refused });
    const store = writing({ sender });
    await list.snapshot([record("1")]);
    const write = await put(store, "1", "mine");
    await expect(write.done).rejects.toMatchObject(refused);
    await appview.settled();
    expect(store.records[0]).toMatchObject({ optimistic: "failed", serverValue: { text: "1" } });
    await write.retry();
    await appview.settled();
    expect(sender.mock.lastCall![0]).not.toHaveProperty("swap");
    expect(store.records[0]).toMatchObject({ optimistic: "pending", value: { text: "mine" } });
    expect(store.records[0]).not.toHaveProperty("serverValue");
  });

  test.each([
    [{}],
    [null],
    ["sent"],
    [{ sent: false }],
    [{ refused: "no" }],
    [{ later: true, after: "soon" }],
  ])("that answers %j has answered nothing that is an outcome", async (answer) => {
    const store = writing({ sender: (() => answer) as never });
    await list.snapshot([record("1")]);
    const write = await put(store, "9", "a");
    await expect(write.done).rejects.toMatchObject({ kind: "bad-answer" });
  });

  test("is the one of the store that came last, of those of the account", async () => {
    const [first, last, theirs] = [vi.fn(), vi.fn(), vi.fn()];
    const store = writing({ sender: first });
    writing({ sender: last, sort: { by: "rkey" } });
    writing({ sender: theirs, account: bob });
    await list.snapshot([record("1")]);
    await put(store, "9", "a");
    await appview.settled();
    expect([first, last, theirs].map((it) => it.mock.calls.length)).toEqual([0, 1, 0]);
  });
});

describe("what a write shows", () => {
  test("shows in all stores of its account and query, and in no others", async () => {
    const [store, sorted, theirs, nobodys] = [
      writing(),
      writing({ sort: { by: "rkey" } }),
      writing({ account: bob }),
      started(),
    ];
    await list.snapshot([record("1")]);
    await put(store, "1", "edited");
    await put(store, "9", "new");
    await appview.settled();
    expect([store, sorted, theirs, nobodys].map(texts)).toEqual([
      ["new", "edited"],
      ["new", "edited"],
      ["1"],
      ["1"],
    ]);
  });

  test("stays where the record is, with what the query hydrates", async () => {
    const store = writing();
    await list.snapshot([record("1"), { ...record("2"), reactionsCount: 3 }]);
    const { cid, time_us } = store.records[1]!;
    await put(store, "2", "edited");
    await appview.settled();
    expect(store.records[1]).toMatchObject({ value: { text: "edited" }, reactionsCount: 3, cid, time_us });
    await list.update({ ...record("2"), reactionsCount: 4 });
    expect(store.records[0]).toMatchObject({ value: { text: "edited" }, reactionsCount: 4 });
    await appview.writes[0]!.confirm();
    expect(store.records[0]).toMatchObject({ value: { text: "edited" }, reactionsCount: 4 });
  });

  test("is failed as long as one of its record's writes is, with the newest body", async () => {
    const store = writing();
    await list.snapshot([record("1")]);
    const first = await put(store, "9", "a");
    await appview.writes[0]!.refuse({ kind: "no", message: "not so" });
    await put(store, "9", "b");
    await appview.settled();
    expect(store.records[0]).toMatchObject({ value: { text: "b" }, optimistic: "failed", write: first.id });
  });

  test("is over once the list has it, or what somebody has made of it since", async () => {
    const store = writing();
    await list.snapshot([record("1"), record("2")]);
    const [edit, made] = [await put(store, "1", "mine"), await put(store, "9", "as I wrote it")];
    for (const write of appview.writes) await write.sent();
    expect([edit.state, made.state]).toEqual(["sent", "sent"]);
    await list.update({ rkey: "2", value: { text: "2!" } });
    expect([edit.state, made.state]).toEqual(["sent", "sent"]);
    await list.update({ rkey: "1", value: { text: "theirs" } });
    await list.create({ rkey: "9", value: { text: "as the server spells it" } });
    await vi.waitFor(() => expect([edit.state, made.state]).toEqual(["confirmed", "confirmed"]));
    expect(texts(store)).toEqual(["as the server spells it", "theirs", "2!"]);
  });
});

describe("a write that is taken back", () => {
  test("while it is on its way is so once that comes to nothing", async () => {
    const store = writing();
    await list.snapshot([record("1")]);
    const write = await put(store, "9", "a");
    await appview.writes[0]!.sending();
    const discarded = write.discard();
    await appview.settled();
    expect(write.state).toBe("sending");
    await appview.writes[0]!.later();
    await discarded;
    expect(write.state).toBe("discarded");
    expect(texts(store)).toEqual(["1"]);
  });

  test("counts, and what the server has by then does not", async () => {
    const store = writing();
    await list.snapshot([record("1")]);
    for (const rkey of ["7", "8", "9"]) await put(store, rkey, rkey);
    await appview.writes[0]!.sent();
    await appview.writes[1]!.sending();
    expect(await discardWrites({ account: alice })).toBe(2);
    expect((await states()).map((it) => it.split(" ")[1])).toEqual(["sent", "sending"]);
  });

  test("goes with the access to its list, and says why", async () => {
    const [store, other] = [writing(), writing({ url: "/xrpc/com.example.message.listRecords" })];
    await list.snapshot([record("1")]);
    await appview.watch("/xrpc/com.example.message.listRecords").snapshot([record("1")]);
    const [lost, kept] = [await put(store, "9", "a"), await put(other, "8", "b")];
    await list.fail({ kind: "access-lost", message: "you were kicked" });
    await expect(lost.done).rejects.toMatchObject({ kind: "access-lost" });
    expect(await states()).toEqual([`${kept.id} queued`]);
  });

  test("is over for the test, too", async () => {
    const store = writing();
    await list.snapshot([record("1")]);
    const write = await put(store, "9", "a");
    const [waiting] = appview.writes;
    await write.discard();
    expect(() => waiting!.confirm()).toThrow("is discarded already");
  });
});

describe("while the server is out of reach", () => {
  test("stores show what they had, and ask in vain; then they have what happened", async () => {
    const store = started();
    await list.snapshot([record("1")]);
    await list.older([record("o")]);
    await appview.offline();
    await list.create(record("2"));
    await list.delete("1");
    expect(texts(store)).toEqual(["1"]);
    await expect(store.loadMore()).rejects.toMatchObject({ kind: "connect" });
    await expect(store.refresh()).rejects.toMatchObject({ kind: "connect" });
    await appview.online();
    expect(texts(store)).toEqual(["2"]);
    await list.status("reconnecting", { kind: "idle-timeout", message: "silence" });
    await list.create(record("3"));
    expect(texts(store)).toEqual(["2"]);
    await expect(store.refresh()).rejects.toMatchObject({ kind: "idle-timeout" });
    await list.status("live");
    expect(texts(store)).toEqual(["3", "2"]);
  });

  test("a refresh waits for the first answer", async () => {
    const store = started();
    const shown = vi.fn();
    const refreshed = store.refresh().then(shown);
    await appview.settled();
    expect(shown).not.toHaveBeenCalled();
    await list.snapshot([record("1")]);
    await refreshed;
    expect(texts(store)).toEqual(["1"]);
  });

  test("nothing can be shown as sent", async () => {
    const store = writing();
    await list.snapshot([record("1")]);
    await appview.offline();
    await put(store, "9", "a");
    expect(() => appview.writes[0]!.confirm()).toThrow("is not live");
  });
});

describe("older records", () => {
  test("are only in the store that asked for them", async () => {
    const [store, other] = [started(), started({ sort: { by: "rkey" } })];
    await list.snapshot([record("1")]);
    await list.older([record("a"), record("b"), record("c")]);
    await store.loadMore();
    expect([store, other].map(texts)).toEqual([["1", "a", "b"], ["1"]]);
    await list.update({ rkey: "c", value: { text: "c!" } });
    expect([store, other].map(texts)).toEqual([
      ["c!", "1", "a", "b"],
      ["c!", "1"],
    ]);
    expect([store.hasMore, other.hasMore]).toEqual([false, true]);
  });
});

describe("times", () => {
  test("in milliseconds are in microseconds from then on", async () => {
    const store = writing();
    await list.snapshot([{ ...record("1"), time_us: 1_700_000_000_000 }]);
    await store.put({ did: alice, rkey: "2", value: { text: "2" }, time_us: 1_700_000_000_001 });
    store.addOptimistic({ rkey: "3", did: alice, value: { text: "3" }, time_us: 1_700_000_000_002 });
    await appview.settled();
    const times = [1_700_000_000_002_000, 1_700_000_000_001_000, 1_700_000_000_000_000];
    expect(store.records.map(({ time_us }) => time_us)).toEqual(times);
  });

  test("that are made up put older records last, whichever the test says first", async () => {
    const store = started();
    await list.older([record("o"), record("p")], 1);
    await list.snapshot([record("1"), record("2"), record("3"), record("4")]);
    await store.loadMore();
    expect(texts(store)).toEqual(["1", "2", "3", "4", "o"]);
    await list.snapshot([record("1"), record("o")]);
    expect(texts(store)).toEqual(["1", "o"]);
    expect(store.hasMore).toBe(true);
  });
});

describe("where and sort", () => {
  test("look into objects alone, and order texts by code points", async () => {
    const [filtered, sorted] = [
      started({ where: { "value.tags.length": 2 } }),
      started({ sort: { by: "value.text", order: "asc" } }),
    ];
    await list.snapshot([
      { rkey: "1", value: { text: "\u{1F600}", tags: ["a", "b"] } as Message },
      record("2", "\uFF5E"),
      record("3", "\u{1F600}\u{1F601}"),
      record("4", "\u{1F600}\u{1F600}"),
    ]);
    expect(texts(filtered)).toEqual([]);
    expect(sorted.records.map(({ rkey }) => rkey)).toEqual(["2", "1", "4", "3"]);
  });
});

describe("an edit of the page", () => {
  test("stays while something else of its record changes, and keeps what is hydrated", async () => {
    const store = started();
    await list.snapshot([{ ...record("1"), reactionsCount: 1 }]);
    store.addOptimistic({ rkey: "1", did: alice, value: { text: "edited" } });
    await list.update({ ...record("1"), reactionsCount: 2 });
    expect(store.records[0]).toMatchObject({
      ...{ value: { text: "edited" }, optimistic: "pending", reactionsCount: 2 },
    });
    await list.update({ rkey: "1", value: { text: "theirs" } });
    expect(store.records[0]).toMatchObject({ value: { text: "theirs" } });
    expect(store.records[0]).not.toHaveProperty("optimistic");
  });
});

describe("the cache", () => {
  test("shows the last run until the server answers, to its account alone", async () => {
    list.cached([record("1"), record("2")], { account: alice });
    const store = started({ account: alice });
    const filtered = started({ cache: false });
    await appview.settled();
    expect(store).toMatchObject({ status: "connecting" });
    expect(texts(store)).toEqual(["1", "2"]);
    expect(texts(filtered)).toEqual([]);
    await appview.offline();
    expect(texts(store)).toEqual(["1", "2"]);
    await appview.online();
    await list.snapshot([record("2")]);
    expect(texts(store)).toEqual(["2"]);
    expect(await cacheInfo()).toMatchObject({ rows: 1, watches: 1, memoryOnly: false });
  });

  test("is erased by another account, at a logout, and with the access", async () => {
    list.cached([record("1")], { account: alice });
    const theirs = started({ account: bob });
    await appview.settled();
    expect(texts(theirs)).toEqual([]);
    list.cached([record("1")], { account: alice });
    await clearCache({ account: alice });
    expect(await cacheInfo()).toMatchObject({ rows: 0, oldestSync: null });
    list.cached([record("1")], { account: alice, cacheKey: "mine" });
    const store = started({ account: alice, cacheKey: "mine" });
    await appview.settled();
    expect(texts(store)).toEqual(["1"]);
    await list.fail({ kind: "access-lost", message: "you were kicked" });
    expect(await cacheInfo()).toMatchObject({ rows: 0 });
  });
});

describe("what no server has, or no vault takes, is told", () => {
  test("a record that is there twice", () => {
    expect(() => list.snapshot([record("1"), record("1")])).toThrow("twice");
  });

  test("a ticket of two words", async () => {
    started({ mintTicket: () => Promise.resolve("two words") });
    await appview.settled();
    await expect(list.mint()).rejects.toThrow("no ticket");
  });

  test("a secret without an end", async () => {
    await expect(setSecret("x".repeat(65), "s")).rejects.toMatchObject({ kind: "vault" });
  });
});
