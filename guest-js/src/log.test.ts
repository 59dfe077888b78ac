import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createWatchStore } from "./store.js";
import type { FakePlugin } from "./testing/fake-plugin.js";
import { Page } from "./testing/page.js";
import { until } from "./testing/until.js";
import type { Logger, WatchStore } from "./types.js";

let page: Page;
let plugin: FakePlugin;
/** What reached the console: level, line, and the error's kind and message. */
let printed: unknown[][];

const line = (level: string, to: unknown[][]) => (text: string, detail?: { kind: string; message: string }) =>
  void to.push(detail ? [level, text, detail.kind, detail.message] : [level, text]);

beforeEach(async () => {
  page = await Page.open();
  plugin = page.plugin;
  printed = [];
  for (const level of ["log", "warn", "error"] as const) {
    vi.spyOn(console, level).mockImplementation(line(level, printed));
  }
});
afterEach(() => {
  page.close();
  vi.unstubAllEnvs();
});

const url = "/xrpc/com.example.message.watchRecords?spaceUri=ats://did:plc:alice/com.example.space/one";

describe("a store without a logger", () => {
  const make = () => page.make({ url, logger: undefined });

  test("prints why it is closed, without its query", async () => {
    plugin.intercept = ({ command }) => {
      if (command === "open_watch")
        throw { kind: "not-allowed", message: "the scope does not allow this URL" };
    };
    const store = make();
    store.start();
    await until(store, ({ status }) => status === "closed");
    const what = "contrail-sync: the store of /xrpc/com.example.message.watchRecords is closed";
    expect(printed).toEqual([["error", what, "not-allowed", "the scope does not allow this URL"]]);
  });

  test("prints that an option makes no sense, by the option's name", () => {
    page.make({ url, logger: undefined, where: { "value.room": undefined } as never }).start();
    expect(printed).toEqual([
      ["error", expect.stringContaining("is closed"), "invalid-options", 'where: "value.room" is undefined'],
    ]);
  });

  test("prints that it was given something else than options", () => {
    createWatchStore(url as never).start();
    const what = "createWatchStore takes an object of options, not String";
    const line = "contrail-sync: the store of no URL is closed";
    expect(printed).toEqual([["error", line, "invalid-options", what]]);
  });

  test.each<[string, (store: WatchStore) => void, string]>([
    [
      "an edit without its did",
      (store) => store.addOptimistic({ rkey: "a", value: {} } as never),
      "addOptimistic: did is Undefined, it must be a string",
    ],
    [
      "one with a big integer",
      (store) => store.addOptimistic({ rkey: "a", did: "did:plc:alice", value: { n: 1n } }),
      "addOptimistic.value.n: cannot send a BigInt",
    ],
  ])("prints that %s was not made", (_, edit, why) => {
    edit(make());
    expect(printed).toEqual([["warn", "contrail-sync: an edit was not made", "invalid-options", why]]);
  });

  test("prints that Rust refused an edit", async () => {
    plugin.intercept = ({ command }) => {
      if (command === "edit_watch") throw { kind: "too-many", message: "1000 optimistic records" };
    };
    const store = make();
    store.start();
    store.addOptimistic({ rkey: "a", did: "did:plc:alice", value: {} });
    await vi.waitFor(() => expect(printed).toHaveLength(1));
    expect(printed[0]).toEqual([
      "warn",
      "contrail-sync w1: an edit was not made",
      "too-many",
      "addOptimistic: 1000 optimistic records",
    ]);
  });

  test("names the watch as Rust's log does, each watch by its own number", async () => {
    const store = make();
    store.start();
    await store.ready;
    store.removeOptimistic(undefined as never);
    plugin.end();
    page.comeBack();
    await vi.waitFor(() => expect(plugin.opens.size).toBe(1));
    await plugin.caughtUp();
    store.removeOptimistic(undefined as never);
    expect(printed.map(([, text]) => text)).toEqual([
      "contrail-sync w1: an edit was not made",
      "contrail-sync w1: the watch was lost, and is opened again",
      "contrail-sync w2: an edit was not made",
    ]);
  });

  test("names in a late line the watch that it is about, and not the next one", async () => {
    const store = make();
    store.start();
    await store.ready;
    let refuse = () => {};
    const refused = new Promise<never>((_, reject) => {
      refuse = () => reject({ kind: "internal", message: "no" });
    });
    plugin.intercept = ({ command }) => (command === "close_watch" ? refused : undefined);
    store.stop();
    plugin.end();
    store.start();
    await vi.waitFor(() => expect(store.status).not.toBe("closed"));
    refuse();
    await vi.waitFor(() => expect(printed).toHaveLength(1));
    expect(printed[0]?.[1]).toBe("contrail-sync w1: close_watch failed");
  });

  test("prints nothing while all is well, nor when it is stopped", async () => {
    const store = make();
    store.start();
    await store.ready;
    store.stop();
    expect(printed).toEqual([]);
  });

  test("prints that it does nothing any more once it is destroyed", () => {
    const store = make();
    store.destroy();
    store.start();
    store.addOptimistic({ rkey: "a", did: "did:plc:alice", value: {} });
    expect(printed).toEqual([
      ["warn", "contrail-sync: start() was in vain", "stopped", "the store was destroyed"],
      ["warn", "contrail-sync: an edit was not made", "stopped", "the store was destroyed"],
    ]);
  });
});

test("a store whose URL has an order of its own, and which has no sort, warns once", () => {
  const ordered = `${url}&actor=hush&sort=n&order=asc`;
  const store = page.make({ url: ordered, logger: undefined });
  for (let i = 0; i < 2; i++) {
    store.start();
    store.stop();
  }
  page.make({ url: ordered, logger: undefined, sort: { by: "value.n" } }).start();
  const what = "the URL of /xrpc/com.example.message.watchRecords has sort, which";
  expect(printed).toEqual([["warn", expect.stringContaining(what)]]);
  expect(printed.flat().join(" ")).not.toContain("hush");
});

describe("a store with a logger", () => {
  const make = (logger: Logger) => page.make({ url: "", logger });

  test("tells the logger, and prints nothing", () => {
    const told: unknown[][] = [];
    const store = make({ warn: line("warn", told), error: line("error", told) });
    store.start();
    store.removeOptimistic(undefined as never);
    expect(told.map(([level]) => level)).toEqual(["error", "warn"]);
    expect(printed).toEqual([]);
  });

  test("prints nothing either where the logger does not take such lines", () => {
    const store = make({ log: () => {} });
    store.start();
    store.removeOptimistic(undefined as never);
    expect(store.status).toBe("closed");
    expect(printed).toEqual([]);
  });
});

describe("stores that are alike", () => {
  const start = (count: number, options = {}) => {
    const stores = Array.from({ length: count }, () => page.make({ url, logger: undefined, ...options }));
    for (const store of stores) store.start();
    return stores;
  };
  const told = () => printed.filter(([, text]) => String(text).includes("import.meta.hot?.dispose"));

  test("are warned of once there are five, once for the page", () => {
    start(4);
    expect(told()).toEqual([]);
    start(8);
    start(8, { account: "did:plc:alice" });
    expect(told()).toHaveLength(1);
    expect(told()[0]?.[1]).toMatch(
      /^contrail-sync: 5 stores of \/xrpc\/com\.example\.message\.watchRecords are/,
    );
  });

  test("are counted as long as they are started", async () => {
    for (let n = 0; n < 10; n++) for (const store of start(2)) store[n % 2 ? "stop" : "destroy"]();
    plugin.intercept = ({ command }) => {
      if (command === "open_watch") throw { kind: "internal", message: "no" };
    };
    for (const store of start(4)) await until(store, ({ status }) => status === "closed");
    start(4);
    expect(told()).toEqual([]);
  });

  test("are no matter if they watch something else", () => {
    for (let n = 0; n < 10; n++) start(1, { account: `did:plc:${n}` });
    expect(told()).toEqual([]);
  });

  test("are nobody's trouble in production", () => {
    vi.stubEnv("NODE_ENV", "production");
    start(10);
    expect(told()).toEqual([]);
  });
});
