import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { FakePlugin } from "./testing/fake-plugin.js";
import { answerLate, Page } from "./testing/page.js";
import { record, texts } from "./testing/records.js";
import { gate, settled, until } from "./testing/until.js";

let page: Page;
let plugin: FakePlugin;

beforeEach(fresh);
afterEach(() => page.close());

async function fresh(): Promise<void> {
  page = await Page.open();
  plugin = page.plugin;
}

const started = () => page.started();

function late(command: string): ReturnType<typeof gate> {
  const answer = gate();
  answerLate(command, answer);
  return answer;
}

describe("a page", () => {
  test("listens before it opens, on three events of its own, for all its stores", async () => {
    const { invoke } = window.__TAURI_INTERNALS__;
    const order: string[] = [];
    window.__TAURI_INTERNALS__.invoke = (command: string, args: { event?: string }) => {
      order.push(args.event ?? command);
      return invoke(command, args);
    };
    await Promise.all([started(), started()]);
    const session = plugin.calls[0]?.args["session"];
    expect(session).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    expect(plugin.calls[1]?.args["session"]).toBe(session);
    expect(order).toEqual([
      `contrail-sync://${session}`,
      `contrail-sync://${session}/mint`,
      `contrail-sync://${session}/send`,
      "plugin:contrail-sync|open_watch",
      "plugin:contrail-sync|open_watch",
    ]);
    expect(plugin.handles("open_watch")).toEqual([1, 2]);
  });

  test("that ends takes its listeners back, and one that may come back keeps them", async () => {
    await Promise.all([page.started(), page.started()]);
    const session = plugin.calls[0]?.args["session"];
    const { invoke } = window.__TAURI_INTERNALS__;
    const ended: unknown[] = [];
    window.__TAURI_INTERNALS__.invoke = (command: string, args: { event?: string }) => {
      if (command === "plugin:event|unlisten") ended.push(args.event);
      return invoke(command, args);
    };
    page.leave(true);
    await settled();
    expect(ended).toEqual([]);
    await plugin.push({ records: [] });
    page.leave();
    await settled();
    expect(ended).toEqual(["", "/mint", "/send"].map((end) => `contrail-sync://${session}${end}`));
  });

  test("that could not listen says so and can try again", async () => {
    const { invoke } = window.__TAURI_INTERNALS__;
    window.__TAURI_INTERNALS__.invoke = () => Promise.reject("event.listen not allowed");
    const store = page.make();
    store.start();
    const { error } = await until(store, ({ status }) => status === "closed");
    expect(error).toMatchObject({ kind: "ipc", message: "event.listen not allowed" });
    window.__TAURI_INTERNALS__.invoke = invoke;
    store.start();
    await expect(store.ready).resolves.toBeUndefined();
  });
});

describe("deltas that arrive before the answer of open_watch", () => {
  test("are kept, applied in order, and acknowledged", async () => {
    const answer = late("open_watch");
    const store = page.make();
    store.start();
    await vi.waitFor(() => expect(plugin.opens.size).toBe(1));
    await plugin.push({ records: [record("c"), record("b"), record("a")] });
    expect(store.records).toEqual([]);
    answer.open();
    await store.ready;
    expect(texts(store.records)).toEqual(["c v0", "b v0", "a v0"]);
    await vi.waitFor(() => expect(plugin.handles("ack_watch")).toEqual([1]));
    expect(plugin.handles("watch_state")).toEqual([]);
  });

  test("of which there are too many are dropped, and the whole state is fetched", async () => {
    const answer = late("open_watch");
    const store = page.make();
    store.start();
    await vi.waitFor(() => expect(plugin.opens.size).toBe(1));
    const delta = {
      handle: 1,
      status: "live",
      error: null,
      cursor: null,
      length: 2,
      removed: [],
      ids: [],
      indexes: [],
      records: [],
    };
    for (let rev = 2; rev < 100; rev++) await plugin.send(1, JSON.stringify({ ...delta, rev }));
    answer.open();
    await store.ready;
    await vi.waitFor(() => expect(plugin.handles("watch_state")).not.toEqual([]));
    expect(texts(store.records)).toEqual(["b v0", "a v0"]);
  });
});

describe("the whole state is fetched", () => {
  test.each([
    ["after a lost delta", () => null],
    ["after a payload that is no JSON", () => "{"],
    ["after a payload that is no delta", () => "[]"],
    ["after a payload that is no string", () => ({ handle: 1 })],
    ["after a delta without its lists", () => JSON.stringify({ handle: 1, rev: 2, length: 0 })],
    ["after a length that does not fit", (payload: string) => payload.replace(/"length":\d+/, '"length":9')],
    ["after a gap in the revisions", (payload: string) => payload.replace(/"rev":\d+/, '"rev":9')],
  ])("%s", async (_, tamper) => {
    const store = await started();
    const [, a] = store.records;
    plugin.tamper = tamper;
    await plugin.push({ records: [record("c"), record("a")] });
    plugin.tamper = (payload) => payload;
    // Nothing tells of a lost delta but the next one, which Rust sends when its lease on the first runs out.
    if (tamper("") === null) {
      plugin.opens.get(1)!.inFlight = false;
      await plugin.push({});
    }
    await vi.waitFor(() => expect(texts(store.records)).toEqual(["c v0", "a v0"]));
    expect(store.records[1]).toBe(a);
    expect(plugin.handles("watch_state")).toEqual([1]);
    await plugin.push({ records: [record("d")] });
    expect(texts(store.records)).toEqual(["d v0"]);
  });

  test("after an acknowledgement that failed, so that the watch goes on", async () => {
    const store = await started();
    let failing = true;
    plugin.intercept = ({ command }) => {
      if (command === "ack_watch" && failing) throw "lost";
    };
    await plugin.push({ records: [record("c")] });
    await vi.waitFor(() => expect(plugin.handles("watch_state")).toEqual([1]));
    failing = false;
    await plugin.caughtUp();
    await plugin.push({ records: [record("d")] });
    expect(texts(store.records)).toEqual(["d v0"]);
  });

  test("again when something was lost while it was on its way", async () => {
    const store = await started();
    const answer = late("watch_state");
    await plugin.send(1, "garbage");
    await settled();
    await plugin.send(1, "garbage");
    answer.open();
    await vi.waitFor(() => expect(plugin.handles("watch_state")).toEqual([1, 1]));
    await settled();
    expect(plugin.handles("watch_state")).toEqual([1, 1]);
    expect(store.status).toBe("live");
  });

  test("when the page comes back from the page cache, and changes nothing that is still true", async () => {
    const store = await started();
    const { records } = store;
    page.comeBack();
    await vi.waitFor(() => expect(plugin.handles("watch_state")).toEqual([1]));
    await settled();
    expect(store.records).toBe(records);
  });

  test("of a watch that is not live yet, without holding back what comes before it is", async () => {
    plugin.status = "reconnecting";
    const store = page.make();
    store.start();
    await until(store, ({ records }) => records.length > 0);
    page.comeBack();
    await vi.waitFor(() => expect(plugin.handles("watch_state")).toEqual([1]));
    await settled();
    await plugin.push({ records: [record("c"), record("a")] });
    expect(texts(store.records)).toEqual(["c v0", "a v0"]);
  });

  test("not when a page is shown for the first time", async () => {
    await started();
    page.comeBack(false);
    await settled();
    expect(plugin.handles("watch_state")).toEqual([]);
  });
});

describe("a watch that Rust has forgotten", () => {
  test("is opened again under a new handle, with the records kept meanwhile", async () => {
    const store = await started();
    const { records } = store;
    const seen: string[] = [];
    store.subscribe((snapshot) => seen.push(`${snapshot.status} ${snapshot.records.length}`));
    plugin.forget();
    Object.assign(plugin, { status: "connecting", records: [] });
    page.comeBack();
    await vi.waitFor(() => expect(plugin.opens.has(2)).toBe(true));
    await plugin.push({ status: "live", records: [record("b"), record("a")] });
    await until(store, ({ status }) => status === "live");
    expect(seen).toEqual(["live 2", "connecting 2", "live 2"]);
    expect(store.records).toBe(records);
  });

  test("is noticed at the next acknowledgement", async () => {
    const store = await started();
    plugin.intercept = ({ command }) => {
      if (command === "ack_watch") plugin.forget();
    };
    await plugin.push({ records: [record("c")] });
    await vi.waitFor(() => expect(plugin.handles("open_watch")).toEqual([1, 2]));
    await until(store, ({ status }) => status === "live");
    expect(texts(store.records)).toEqual(["c v0"]);
  });

  test("is not given the deltas of its old handle", async () => {
    const store = await started();
    const answer = late("watch_state");
    await plugin.send(1, "garbage");
    await settled();
    const old = {
      handle: 1,
      status: "live",
      error: null,
      cursor: null,
      length: 0,
      removed: [0, 1],
      ids: [],
      indexes: [],
      records: [],
    };
    for (const rev of [2, 3]) await plugin.send(1, JSON.stringify({ ...old, rev }));
    answer.fail("lost");
    await vi.waitFor(() => expect(plugin.opens.has(2)).toBe(true));
    await settled();
    expect(texts(store.records)).toEqual(["b v0", "a v0"]);
    expect(plugin.handles("watch_state")).toEqual([1]);
  });

  test("ends in closed when it cannot be opened again", async () => {
    const store = await started();
    plugin.forget();
    plugin.intercept = ({ command }) => {
      if (command === "open_watch") throw { kind: "too-many-watches", message: "64 are open" };
    };
    page.comeBack();
    const { error, records } = await until(store, ({ status }) => status === "closed");
    expect(error?.kind).toBe("too-many-watches");
    expect(texts(records)).toEqual(["b v0", "a v0"]);
  });
});

test("a delta known already changes nothing, but is acknowledged", async () => {
  const store = await started();
  const listener = vi.fn();
  store.subscribe(listener);
  listener.mockClear();
  const stale = {
    handle: 1,
    rev: 1,
    status: "closed",
    error: null,
    cursor: null,
    length: 0,
    removed: [1],
    ids: [],
    indexes: [],
    records: [],
  };
  await plugin.send(1, JSON.stringify(stale));
  expect(listener).not.toHaveBeenCalled();
  await vi.waitFor(() => expect(plugin.handles("ack_watch")).toEqual([1]));
});

test("whatever is lost, doubled or garbled on the way, the mirror ends with what Rust has", async () => {
  const step = fc.record({
    list: fc.uniqueArray(fc.record({ id: fc.nat(12), version: fc.nat(2) }), {
      selector: ({ id }) => id,
      maxLength: 12,
    }),
    fate: fc.constantFrom("arrives", "arrives", "garbled", "doubled", "forgotten", "page cache"),
    restart: fc.nat(9).map((n) => n === 0),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
      page.close();
      await fresh();
      const store = await started();
      for (const { list, fate, restart } of steps) {
        plugin.tamper = (payload) => {
          if (fate === "doubled") void plugin.send(JSON.parse(payload).handle, payload);
          return fate === "garbled" ? payload.slice(1) : payload;
        };
        if (fate === "forgotten") plugin.forget();
        if (fate === "page cache" || fate === "forgotten") page.comeBack();
        await plugin.push({ records: list.map(({ id, version }) => record(`r${id}`, version)) });
        if (restart) {
          store.stop();
          store.start();
        }
      }
      plugin.tamper = (payload) => payload;
      await settled();
      await settled();
      await plugin.caughtUp();
      expect(store.status).toBe("live");
      expect(texts(store.records)).toEqual(texts(plugin.records));
      expect(plugin.opens.size).toBe(1);
    }),
    { numRuns: 150 },
  );
}, 30_000);
