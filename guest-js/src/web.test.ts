import { afterEach, assertType, beforeEach, describe, expect, expectTypeOf, test, vi } from "vitest";
import type * as api from "./index.js";
import { Page } from "./testing/page.js";
import { record } from "./testing/records.js";
import type {
  WebCache,
  WebCreateWatchStore,
  WebOptimistic,
  WebOptions,
  WebRecord,
  WebSnapshot,
  WebStatus,
  WebStore,
} from "./testing/web-types.js";

interface Message {
  text: string;
}

let page: Page;

beforeEach(async () => (page = await Page.open()));
afterEach(() => page.close());

// These are checked by `npm run check`; running them proves nothing.
describe("an app typed for the web client", () => {
  test("may call our createWatchStore as the web client's", () => {
    expectTypeOf<typeof api.createWatchStore>().toExtend<WebCreateWatchStore>();
  });

  test("may give its options to us", () => {
    expectTypeOf<WebOptions<Message>>().toExtend<api.WatchStoreOptions<Message>>();
    expectTypeOf<WebOptions<Record<string, unknown>>>().toExtend<api.WatchStoreOptions>();
    expectTypeOf<WebOptimistic<Message>>().toExtend<api.OptimisticRecord<Message>>();
    expectTypeOf<WebCache>().toExtend<api.CacheAdapter>();
    assertType<api.CacheAdapter>({} as ReturnType<typeof api.createSqliteCache>);
  });

  test("may keep our stores, records and snapshots in variables of its own", () => {
    expectTypeOf<api.WatchStore<Message>>().toExtend<WebStore<Message>>();
    expectTypeOf<api.WatchStore>().toExtend<WebStore<Record<string, unknown>>>();
    expectTypeOf<api.WatchRecord<Message>>().toExtend<WebRecord<Message>>();
    expectTypeOf<api.Snapshot<Message>>().toExtend<WebSnapshot<Message>>();
    expectTypeOf<api.Status>().toEqualTypeOf<WebStatus>();
  });

  test("may give us the listeners and comparators that it wrote", () => {
    const listener = (_: WebSnapshot<Message>) => {};
    const newest = (a: WebRecord<Message>, b: WebRecord<Message>) => b.time_us - a.time_us;
    expectTypeOf(listener).toExtend<Parameters<api.WatchStore<Message>["subscribe"]>[0]>();
    assertType<api.WatchStoreOptions<Message>>({ url: "/watch", compareRecords: newest });
  });

  // `exactOptionalPropertyTypes` is on here, as it is in strict apps.
  test("may give undefined for whatever it may leave out", () => {
    const session = null as { did: string } | null;
    assertType<api.WatchStoreOptions>({ url: "/watch", account: session?.did });
    const none = undefined as undefined;
    type Nothing = Record<Exclude<keyof api.WatchStoreOptions, "url">, undefined>;
    assertType<api.WatchStoreOptions>({} as { url: string } & Nothing);
    assertType<api.WatchStoreOptions>({
      url: "/watch",
      sort: { by: "rkey", order: none },
      logger: { log: none, warn: none, error: console.error },
    });
    // @ts-expect-error a filter of it would let everything through
    assertType<api.WatchStoreOptions>({ url: "/watch", where: { "value.room": none } });
    // @ts-expect-error there is no watch without one
    assertType<api.WatchStoreOptions>({ url: none });
    // @ts-expect-error nor an order by nothing
    assertType<api.WatchStoreOptions>({ url: "/watch", sort: { by: none } });
  });

  test("still learns of its mistakes", () => {
    // @ts-expect-error there is no such transport
    assertType<api.WatchStoreOptions>({ url: "/watch", transport: "carrier pigeon" });
    // @ts-expect-error a ticket is a string
    assertType<api.WatchStoreOptions>({ url: "/watch", mintTicket: async () => 5 });
    // @ts-expect-error a body of another type
    assertType<api.OptimisticRecord<Message>>({ rkey: "a", did: "did:plc:alice", value: { txt: "hi" } });
    // @ts-expect-error only the body has such fields
    assertType<api.WatchStoreOptions>({ url: "/watch", where: { room: "a" } });
    // @ts-expect-error nor can it be sorted by them
    assertType<api.WatchStoreOptions>({ url: "/watch", sort: { by: "room" } });
  });
});

describe("a chat written for the web client", () => {
  const shown = (list: HTMLElement) => [...list.children].map((it) => `${it.className}: ${it.textContent}`);

  async function open(post: () => Promise<void>) {
    const { chat } = await import("./testing/web-app.js");
    const list = document.createElement("ul");
    const app = chat(list, "did:plc:alice", post);
    await vi.waitFor(() => expect(list.dataset["status"]).toBe("live"));
    return { app, list };
  }

  test("renders its list, sends at once and shows what the server confirms", async () => {
    const { app, list } = await open(async () => {});
    expect(shown(list)).toEqual(["sent: b v0", "sent: a v0"]);
    await app.send("new", "hello");
    await vi.waitFor(() => expect(shown(list)).toEqual(["pending: hello", "sent: b v0", "sent: a v0"]));
    await page.plugin.caughtUp();
    await page.plugin.push({ records: [record("new"), ...page.plugin.records] });
    expect(shown(list)).toEqual(["sent: new v0", "sent: b v0", "sent: a v0"]);
    app.leave();
    expect(app.store.status).toBe("closed");
  });

  test("shows that a message failed, and forgets it", async () => {
    const { app, list } = await open(() => Promise.reject(new Error("offline")));
    await app.send("new", "hello");
    await vi.waitFor(() => expect(shown(list)[0]).toBe("failed: hello (offline)"));
    app.discard("new");
    await vi.waitFor(() => expect(shown(list)).toEqual(["sent: b v0", "sent: a v0"]));
    app.leave();
  });

  test("gets Rust's cache and a ticket from its own function", async () => {
    const { app } = await open(async () => {});
    const { options } = page.plugin.calls.find(({ command }) => command === "open_watch")!.args;
    expect(options).toMatchObject({ cache: true, mint: true, transport: "sse", cacheMaxRecords: 100 });
    expect(await page.plugin.ask(1)).toMatchObject({ ticket: "a-ticket" });
    app.leave();
  });
});
