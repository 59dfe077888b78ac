// The fake says no where Rust does, and shows what Rust shows: else an app's test would pass, and the app fail.
import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { cacheInfo, clearCache, setSecret } from "./index.js";
import { fakeContrailSync, type FakeContrailSync, type FakeList } from "./testing.js";
import {
  alice,
  bob,
  type Message,
  type Options,
  put,
  record,
  started,
  states,
  texts,
  url,
  writing,
} from "./testing/messages.js";

let appview: FakeContrailSync;
let list: FakeList<Message>;
beforeEach(() => {
  appview = fakeContrailSync();
  list = appview.watch<Message>(url);
});
afterEach(() => appview.restore());

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
    ["invalid-options", { mintTicket: "x".repeat(9000) }, "mintTicket has 9000 bytes, it may have 8192"],
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

  test.each([
    ["x".repeat(65), "s", "a secret's name has"],
    ["session:did:plc:alice", "s", "a secret's name has"],
    ["", "s", "name is empty"],
    ["session", "", "value is empty"],
    ["session", "x".repeat(16_385), "the secret has 16385 bytes, it may have 16384"],
  ])("a secret that cannot be kept, %#", async (name, value, message) => {
    await expect(setSecret(name, value)).rejects.toMatchObject({
      kind: "invalid-options",
      message: expect.stringContaining(message),
    });
  });
});
