/** @jsxImportSource react */
// The fake for the tests of apps, used as their authors would.
import { invoke } from "@tauri-apps/api/core";
import { act } from "react";
import { createRoot } from "react-dom/client";
import { flushSync, mount, unmount } from "svelte";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createWatchStore, nextTid, pendingWrites, setSecret, type WatchStore } from "./index.js";
import { fakeContrailSync, type FakeContrailSync, type FakeList } from "./testing.js";
import { Messages, messages, URL } from "./testing/app/Messages.js";
import SvelteMessages from "./testing/app/Messages.svelte";
import * as react from "./testing/lists/react.js";
import * as solid from "./testing/lists/solid.js";
import * as svelte from "./testing/lists/svelte.svelte.js";
import * as vue from "./testing/lists/vue.js";

interface Message {
  text: string;
  n?: number;
}

let appview: FakeContrailSync;
let list: FakeList<Message>;
beforeEach(() => {
  appview = fakeContrailSync();
  list = appview.watch<Message>(URL);
});
afterEach(() => appview.restore());

const hello = { rkey: "1", value: { text: "hello" } };
const there = { rkey: "2", value: { text: "there" } };

const texts = ({ records }: Pick<WatchStore<Message>, "records">) => records.map(({ value }) => value.text);

function started(
  options: Partial<Parameters<typeof createWatchStore<Message>>[0]> = {},
): WatchStore<Message> {
  const store = createWatchStore<Message>({ url: URL, logger: {}, ...options });
  store.start();
  return store;
}

describe("a list", () => {
  test("shows in a store as it is said, and the store is live with it", async () => {
    const store = started();
    await appview.settled();
    expect(store.status).toBe("connecting");
    await list.snapshot([hello, there]);
    expect(store.status).toBe("live");
    expect(texts(store)).toEqual(["hello", "there"]);
    expect(store.records[0]).toMatchObject({
      uri: "at://did:plc:alice/com.example.message/1",
      did: "did:plc:alice",
      collection: "com.example.message",
    });
  });

  test("is there for a store that starts later", async () => {
    await list.snapshot([hello]);
    const store = started();
    await store.ready;
    expect(texts(store)).toEqual(["hello"]);
  });

  test("takes what is undefined as left out, as stores do", async () => {
    appview = fakeContrailSync({ baseUrl: undefined, cache: undefined, ipc: undefined });
    list = appview.watch<Message>(URL);
    const store = started();
    await list.snapshot([{ ...hello, did: undefined, cid: undefined, time_us: undefined }]);
    expect(store.records[0]).toMatchObject({ did: "did:plc:alice", cid: expect.any(String) });
  });

  test("changes: what is new comes first, an edit rises, what is deleted goes", async () => {
    const store = started();
    await list.snapshot([hello, there]);
    const kept = store.records[1];
    await list.create({ rkey: "3", value: { text: "new" } });
    expect(texts(store)).toEqual(["new", "hello", "there"]);
    expect(store.records[2]).toBe(kept);
    await list.update({ rkey: "2", value: { text: "there!" } });
    expect(texts(store)).toEqual(["there!", "new", "hello"]);
    await list.delete("1");
    expect(texts(store)).toEqual(["there!", "new"]);
    expect(() => list.update(hello)).toThrow("has no record 1");
    expect(() => list.delete("1", "did:plc:bob")).toThrow("has no record 1 of did:plc:bob");
  });

  test("is the same however its URL is written, and says which ones were asked for", async () => {
    await list.snapshot([hello]);
    const url = "https://appview.test/xrpc/com.example.message.watchRecords?actor=did%3Aplc%3Aalice";
    const store = started({ url });
    await store.ready;
    expect(texts(store)).toEqual(["hello"]);
    expect(list.followers).toBe(1);
    expect(appview.watch(url)).toBe(list);
    expect(appview.urls).toEqual([url]);
  });

  test("is sorted, filtered and cut as each store wants it", async () => {
    const sorted = started({ sort: { by: "value.n", order: "asc" } });
    const filtered = started({ where: { "value.n": 2 } });
    const cut = started({ maxRecords: 1 });
    await list.snapshot([
      { rkey: "a", value: { text: "a", n: 2 } },
      { rkey: "b", value: { text: "b" } },
      { rkey: "c", value: { text: "c", n: 1 } },
    ]);
    expect([sorted, filtered, cut].map(texts)).toEqual([["c", "a", "b"], ["a"], ["a"]]);
    await list.update({ rkey: "c", value: { text: "c", n: 2 } });
    expect([sorted, filtered, cut].map(texts)).toEqual([["c", "a", "b"], ["c", "a"], ["c"]]);
  });

  test("has older records, and profiles", async () => {
    const store = started();
    await list.snapshot([hello]);
    await list.older(["x", "y", "z"].map((text) => ({ rkey: text, value: { text } })));
    await list.profiles({ "did:plc:alice": { did: "did:plc:alice", handle: "alice.test" } });
    expect(store.hasMore).toBe(true);
    expect(store.profiles["did:plc:alice"]?.handle).toBe("alice.test");
    await store.loadMore();
    expect(texts(store)).toEqual(["hello", "x", "y"]);
    await store.loadMore();
    expect(texts(store)).toEqual(["hello", "x", "y", "z"]);
    expect(store.hasMore).toBe(false);
    await store.refresh();
    expect(texts(store)).toEqual(["hello", "x", "y", "z"]);
  });

  test("can be out of reach for a time, and end for good", async () => {
    const store = started();
    await list.snapshot([hello]);
    await list.status("reconnecting", { kind: "idle-timeout", message: "silence" });
    expect(store).toMatchObject({
      status: "reconnecting",
      error: { kind: "idle-timeout", message: "silence" },
    });
    expect(texts(store)).toEqual(["hello"]);
    await list.status("live");
    expect(store).toMatchObject({ status: "live", error: null });
    await list.fail({ kind: "bad-request", message: "no such thing" });
    expect(store).toMatchObject({ status: "closed", error: { kind: "bad-request" } });
    expect(texts(store)).toEqual(["hello"]);
    store.start();
    await appview.settled();
    expect(store.status).toBe("connecting");
    await list.snapshot([there]);
    expect(texts(store)).toEqual(["there"]);
    await list.fail({ kind: "access-lost", message: "you were kicked" });
    expect(store).toMatchObject({ status: "closed", records: [] });
  });

  test("takes over from what was shown before the server said it", async () => {
    const store = started();
    await list.snapshot([hello, there]);
    store.addOptimistic({ rkey: "3", did: "did:plc:alice", value: { text: "mine" } });
    store.addOptimistic({ rkey: "2", did: "did:plc:alice", value: { text: "edited" } });
    await appview.settled();
    expect(store.records.map(({ value, optimistic }) => [value.text, optimistic])).toEqual([
      ["mine", "pending"],
      ["hello", undefined],
      ["edited", "pending"],
    ]);
    store.markFailed("2", new Error("no"));
    await list.create({ rkey: "3", value: { text: "mine" } });
    expect(store.records[0]).not.toHaveProperty("optimistic");
    expect(store.records[2]).toMatchObject({ optimistic: "failed", optimisticError: { message: "no" } });
  });

  test("asks a page for tickets", async () => {
    const mintTicket = vi.fn<() => Promise<string>>().mockResolvedValueOnce("a-ticket");
    started({ mintTicket });
    await appview.settled();
    expect(await list.mint()).toBe("a-ticket");
    mintTicket.mockRejectedValueOnce(new Error("logged out"));
    await expect(list.mint()).rejects.toThrow("logged out");
  });
});

describe("a write", () => {
  const account = "did:plc:alice";
  const made = async (store: WatchStore<Message>) => {
    await list.snapshot([hello]);
    return store.put({ did: account, rkey: "9", value: { text: "mine" } });
  };

  test("is sent by the store's function, and is over once the list shows it", async () => {
    const sender = vi.fn();
    const store = started({ account, sender });
    const write = await made(store);
    await write.done;
    expect(sender).toHaveBeenCalledExactlyOnceWith(
      expect.objectContaining({ action: "put", rkey: "9", value: { text: "mine" }, attempt: 1 }),
    );
    await appview.settled();
    expect(write.state).toBe("sent");
    expect(store.records[0]).toMatchObject({ optimistic: "pending", write: write.id });
    await list.create({ rkey: "9", value: { text: "mine" } });
    expect(store.records[0]).not.toHaveProperty("optimistic");
    await vi.waitFor(() => expect(write.state).toBe("confirmed"));
    expect(appview.writes).toEqual([]);
  });

  test("that the function refuses waits for its user, with what the server has", async () => {
    const refused = { kind: "conflict", message: "somebody was faster" };
    const sender = vi.fn().mockReturnValueOnce({ refused });
    const store = started({ account, sender });
    await list.snapshot([hello]);
    const write = await store.put({ did: account, rkey: "1", value: { text: "mine" } });
    await expect(write.done).rejects.toMatchObject(refused);
    await appview.settled();
    expect(store.records[0]).toMatchObject({ optimistic: "failed", serverValue: { text: "hello" } });
    await write.retry();
    expect(sender).toHaveBeenCalledTimes(2);
    expect(write.state).toBe("sent");
  });

  test("waits while the network is gone, and while the one before it is on its way", async () => {
    let [running, most] = [0, 0];
    const sender = vi.fn(async (_: { action: string; attempt: number }) => {
      most = Math.max(most, (running += 1));
      await Promise.resolve();
      running -= 1;
    });
    const store = started({ account, sender });
    await list.snapshot([hello]);
    await appview.offline();
    expect(store.status).toBe("reconnecting");
    const first = await store.put({ did: account, rkey: "9", value: { text: "one" } });
    await appview.settled();
    expect(sender).not.toHaveBeenCalled();
    expect((await pendingWrites()).map(({ state }) => state)).toEqual(["queued"]);
    sender.mockRejectedValueOnce(new Error("busy"));
    await appview.online();
    expect(store.status).toBe("live");
    expect(first.state).toBe("queued");
    const second = await store.delete("9");
    await Promise.all([first.done, second.done]);
    expect(sender.mock.calls.map(([{ action, attempt }]) => [action, attempt])).toEqual([
      ["put", 1],
      ["put", 2],
      ["delete", 1],
    ]);
    expect(most).toBe(1);
  });

  test("of a sender in Rust goes as the test says", async () => {
    const store = started({ account, sender: { sender: "pds" } });
    const write = await made(store);
    const [waiting] = appview.writes;
    expect(waiting).toMatchObject({ id: write.id, action: "put", rkey: "9", state: "queued" });
    await waiting!.sending();
    await waiting!.later({ kind: "connect", message: "no answer" });
    const told = await pendingWrites({ account });
    expect(told).toMatchObject([{ state: "queued", attempts: 1, error: { message: "no answer" } }]);
    await waiting!.refuse({ kind: "forbidden", message: "not yours" });
    expect(store.records[0]).toMatchObject({
      optimistic: "failed",
      optimisticError: { message: "not yours" },
    });
    await waiting!.confirm();
    expect(list.records.map(({ rkey }) => rkey)).toEqual(["9", "1"]);
    expect(texts(store)).toEqual(["mine", "hello"]);
    const removal = await store.delete("1");
    await appview.writes[0]!.confirm();
    await removal.done;
    expect(texts(store)).toEqual(["mine"]);
  });
});

describe("a page", () => {
  test("of which the fake was restored starts afresh with the next one", async () => {
    const store = started({ account: "did:plc:alice", sender: { sender: "pds" } });
    await list.snapshot([hello]);
    store.addOptimistic({ rkey: "2", did: "did:plc:alice", value: { text: "of the first" } });
    const write = await store.put({ did: "did:plc:alice", rkey: "3", value: { text: "of the first" } });
    const url = "/xrpc/com.example.message.listRecords?actor=did:plc:bob";
    const stopped = started({ url });
    await appview.watch(url).snapshot([]);
    stopped.addOptimistic({ rkey: "4", did: "did:plc:bob", value: { text: "of the first" } });
    await appview.settled();
    stopped.stop();
    appview.restore();
    expect(store).toMatchObject({ status: "closed", records: [] });

    appview = fakeContrailSync();
    list = appview.watch(URL);
    const next = started({ account: "did:plc:alice", sender: { sender: "pds" } });
    await list.snapshot([hello]);
    await list.create(there);
    expect(texts(next)).toEqual(["there", "hello"]);
    expect(appview.writes).toEqual([]);
    const again = started({ url });
    await appview.watch(url).snapshot([hello]);
    expect(texts(again)).toEqual(["hello"]);
    const another = await next.put({ did: "did:plc:alice", rkey: "3", value: { text: "mine" } });
    expect(another).not.toBe(write);
    expect(another.state).toBe("queued");
  });

  test("is one of Tauri as long as there is a fake, and a new one takes the place of the one before", () => {
    expect(globalThis).toMatchObject({ isTauri: true });
    const other = fakeContrailSync();
    appview.restore();
    expect(globalThis).toMatchObject({ isTauri: true });
    other.restore();
    expect(globalThis).toMatchObject({ isTauri: false });
  });

  test("calls other commands where the test says", async () => {
    await expect(invoke("greet")).rejects.toThrow("greet");
    using _ = fakeContrailSync({ ipc: (command, args) => `${command} ${args["name"]}` });
    expect(await invoke("greet", { name: "bob" })).toBe("greet bob");
  });

  test("is refused what the test says, and seen calling the rest", async () => {
    const allow = appview.refuse("set_secret", { kind: "vault", message: "locked" });
    await expect(setSecret("a", "b")).rejects.toMatchObject({ kind: "vault", message: "locked" });
    allow();
    await setSecret("a", "b");
    expect(await nextTid()).toMatch(/^[2-7a-z]{13}$/);
    expect(appview.calls.map(({ command }) => command)).toEqual(["set_secret", "set_secret", "next_tid"]);
    const store = started({ url: "http://[" });
    await appview.settled();
    expect(store.error).toMatchObject({ kind: "invalid-url" });
  });
});

describe("a component", () => {
  const rows = (target: HTMLElement) => [...target.querySelectorAll("li")].map((it) => it.textContent);

  test.each([
    ["react", react.show],
    ["svelte", svelte.show],
    ["vue", vue.show],
    ["solid", solid.show],
  ])("of %s shows what the fake has", async (_, show) => {
    const target = document.createElement("div");
    const store = createWatchStore<{ text: string }>({ url: URL, logger: {} });
    const shown = show(target, { source: store, rendered: () => {} });
    await list.snapshot([hello]);
    await list.create(there);
    await vi.waitFor(() => expect(rows(target)).toEqual(["there", "hello"]));
    await shown.repeat(0);
    await vi.waitFor(() => expect(list.followers).toBe(0));
  });

  test("of a React app is tested with act", async () => {
    vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);
    const fetch = vi.fn().mockResolvedValue({ status: 409, ok: false });
    vi.stubGlobal("fetch", fetch);
    const target = document.createElement("div");
    const root = createRoot(target);
    await act(() => root.render(<Messages store={messages()} />));
    expect(target.querySelector("section")!.ariaBusy ?? "true").toBe("true");

    await act(() => list.snapshot([hello]));
    expect(rows(target)).toEqual(["hello"]);
    await act(async () => {
      target.querySelector<HTMLElement>("section > button")!.click();
      await appview.settled();
    });
    expect(rows(target)).toEqual(["hiTry again", "hello"]);

    fetch.mockResolvedValue({ status: 200, ok: true });
    await act(async () => {
      target.querySelector<HTMLElement>("li button")!.click();
      await appview.settled();
    });
    expect(target.querySelector("li")!.className).toBe("pending");
    await act(() => list.create({ rkey: appview.writes[0]!.rkey, value: { text: "hi" } }));
    expect(target.querySelector("li")!.className).toBe("sent");

    await act(() => list.fail({ kind: "access-lost", message: "you were kicked" }));
    expect(target.querySelector("[role=alert]")!.textContent).toBe("you were kicked");
    await act(() => root.unmount());
    vi.unstubAllGlobals();
  });

  test("of a Svelte app is tested with flushSync", async () => {
    const target = document.createElement("div");
    const store = createWatchStore<{ text: string }>({
      ...{ url: URL, account: "did:plc:alice", sender: { sender: "pds" }, logger: {} },
    });
    const component = mount(SvelteMessages, { target, props: { store } });
    flushSync();
    await list.snapshot([hello]);
    flushSync();
    expect(rows(target)).toEqual(["hello"]);
    target.querySelector("button")!.click();
    await appview.settled();
    flushSync();
    expect(rows(target)).toEqual(["hi", "hello"]);
    expect(target.querySelector("li")!.className).toBe("pending");
    await appview.writes[0]!.confirm();
    flushSync();
    expect(target.querySelector("li")!.className).toBe("sent");
    await unmount(component);
  });
});
