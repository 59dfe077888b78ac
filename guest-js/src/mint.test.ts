import { emit } from "@tauri-apps/api/event";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { FakePlugin } from "./testing/fake-plugin.js";
import { record } from "./testing/records.js";
import { gate, settled, until } from "./testing/until.js";
import type { MintTicket, WatchStore, WatchStoreOptions } from "./types.js";

const TICKET = "eyJkaWQiOiJkaWQ6cGxjOmFsaWNlIn0.c2lnbmF0dXJl";

let plugin: FakePlugin;
let createWatchStore: typeof import("./store.js").createWatchStore;
/** Every line that the page logged, to whomever. */
let log: string;

beforeEach(async () => {
  vi.resetModules();
  ({ createWatchStore } = await import("./store.js"));
  plugin = new FakePlugin();
  plugin.install();
  plugin.records = [record("a")];
  log = "";
  for (const level of ["log", "warn", "error"] as const) {
    vi.spyOn(console, level).mockImplementation((...line) => void (log += line.map(text).join(" ")));
  }
});

// A rejection that nobody handled fails the run.
afterEach(async () => {
  await settled();
  vi.restoreAllMocks();
  FakePlugin.uninstall();
});

function text(value: unknown): string {
  return value instanceof Error ? `${value.stack} ${JSON.stringify(value)}` : String(value);
}

function make(mintTicket: MintTicket | undefined, options: Partial<WatchStoreOptions> = {}): WatchStore {
  return createWatchStore({ url: "/watch", mintTicket, logger: console, ...options });
}

async function started(mintTicket: MintTicket): Promise<WatchStore> {
  const store = make(mintTicket);
  store.start();
  await store.ready;
  return store;
}

/** What Rust has answered, in order: listeners by their event's name, commands by theirs. */
function answered(): string[] {
  const { invoke } = window.__TAURI_INTERNALS__;
  const seen: string[] = [];
  window.__TAURI_INTERNALS__.invoke = async (command: string, args: unknown) => {
    const event = (args as { event?: string }).event;
    if (event) await settled();
    const result = await invoke(command, args);
    seen.push(event?.replace(/\/\/[^/]+/, "//*") ?? command.replace(/.*\|/, ""));
    return result;
  };
  return seen;
}

describe("a page with a function that mints", () => {
  test("listens to Rust's questions once, before it opens", async () => {
    const seen = answered();
    await started(() => TICKET);
    await started(() => TICKET);
    expect(seen).toEqual([
      "contrail-sync://*",
      "contrail-sync://*/mint",
      "contrail-sync://*/send",
      "open_watch",
      "open_watch",
    ]);
    expect(plugin.calls[0]?.args["options"]).toEqual({ url: "/watch", mint: true });
  });

  test("that could not listen says so and can try again", async () => {
    const { invoke } = window.__TAURI_INTERNALS__;
    window.__TAURI_INTERNALS__.invoke = (command: string, args: unknown) =>
      (args as { event?: string }).event?.endsWith("/mint")
        ? Promise.reject("no such event")
        : invoke(command, args);
    const store = make(() => TICKET);
    store.start();
    const { error } = await until(store, ({ status }) => status === "closed");
    expect(error).toMatchObject({ kind: "ipc", message: "no such event" });
    window.__TAURI_INTERNALS__.invoke = invoke;
    store.start();
    await store.ready;
    expect(await plugin.ask(1)).toMatchObject({ ticket: TICKET });
  });
});

describe("the function", () => {
  test("is called at each of Rust's questions, never before, and what it gives is the answer", async () => {
    let n = 0;
    const mint = vi.fn(() => (++n % 2 ? `t${n}` : Promise.resolve(`t${n}`)));
    await started(mint);
    expect(mint).not.toHaveBeenCalled();
    expect(await plugin.ask(1)).toEqual({ ticket: "t1", error: undefined });
    expect(await plugin.ask(1)).toEqual({ ticket: "t2", error: undefined });
    expect(mint).toHaveBeenCalledTimes(2);
  });

  test("is asked while the watch is still opening", async () => {
    plugin.intercept = async ({ command, handle }) => {
      if (command === "open_watch") expect(await plugin.ask(handle)).toMatchObject({ ticket: TICKET });
    };
    await started(() => TICKET);
    expect(plugin.handles("answer_mint")).toEqual([1]);
  });

  test("is the one of the store that is meant", async () => {
    const [first, second] = [vi.fn(() => "first"), vi.fn(() => "second")];
    await started(first);
    await started(second);
    expect(await plugin.ask(2)).toMatchObject({ ticket: "second" });
    expect(first).not.toHaveBeenCalled();
  });

  test("is still asked after Rust forgot the watch and it was opened again", async () => {
    const store = await started(() => TICKET);
    const { session } = plugin.opens.get(1)!;
    plugin.forget();
    await emit(`contrail-sync://${session}`, "garbage");
    await vi.waitFor(() => expect(plugin.opens.has(2)).toBe(true));
    await until(store, ({ status }) => status === "live");
    expect(await plugin.ask(2)).toMatchObject({ ticket: TICKET });
  });

  test.each<[string, () => unknown, string]>([
    [
      "throws",
      () => {
        throw new Error("signed out");
      },
      "signed out",
    ],
    ["rejects", () => Promise.reject(new Error("offline")), "offline"],
    ["rejects with a text", () => Promise.reject("offline"), "offline"],
    [
      "rejects with an error of the plugin's",
      () => Promise.reject({ kind: "vault", message: "locked" }),
      "locked",
    ],
    ["rejects with half a character", () => Promise.reject("cut \ud83d"), "cut \ufffd"],
    ["gives half a character", () => "cut \ud83d", "mintTicket: cannot send half a character"],
    ["rejects with what has no text", () => Promise.reject(Object.create(null)), ""],
  ])("that %s is answered as an error", async (_, mint, error) => {
    await started(mint as () => string);
    expect(await plugin.ask(1)).toEqual({ ticket: undefined, error });
    expect(log).toBe("");
  });

  test.each([undefined, null, 5, { ticket: TICKET }, [TICKET]])(
    "that gives %o, which is no string, is answered for what it is and no more",
    async (given) => {
      await started((() => given) as never);
      expect(await plugin.ask(1)).toEqual({ ticket: null, error: undefined });
    },
  );
});

describe("a result that comes too late", () => {
  test.each([
    ["stop", "open"],
    ["stop", "fail"],
    ["destroy", "open"],
    ["destroy", "fail"],
  ] as const)("after %s() is dropped (%s)", async (how, outcome) => {
    const minted = gate();
    const mint = vi.fn(() => minted.opened.then(() => TICKET));
    const store = await started(mint);
    void plugin.ask(1);
    await vi.waitFor(() => expect(mint).toHaveBeenCalledOnce());
    store[how]();
    minted[outcome](new Error("too late"));
    await settled();
    expect(plugin.handles("answer_mint")).toEqual([]);
  });

  test("because the store stopped while it was opening is dropped", async () => {
    const answer = gate();
    const minted = gate();
    plugin.intercept = ({ command }) => (command === "open_watch" ? answer.opened : undefined);
    const mint = vi.fn(() => minted.opened.then(() => TICKET));
    const store = make(mint);
    store.start();
    await vi.waitFor(() => expect(plugin.handles("open_watch")).toEqual([1]));
    void plugin.ask(1);
    await vi.waitFor(() => expect(mint).toHaveBeenCalledOnce());
    store.stop();
    minted.open();
    answer.open();
    await vi.waitFor(() => expect(plugin.handles("close_watch")).toEqual([1]));
    expect(plugin.handles("answer_mint")).toEqual([]);
  });

  test("is not even asked for once the store has stopped", async () => {
    const answer = gate();
    plugin.intercept = ({ command }) => (command === "open_watch" ? answer.opened : undefined);
    const mint = vi.fn(() => TICKET);
    const store = make(mint);
    store.start();
    await vi.waitFor(() => expect(plugin.handles("open_watch")).toEqual([1]));
    store.stop();
    void plugin.ask(1);
    await settled();
    expect(mint).not.toHaveBeenCalled();
    answer.open();
  });
});

test("a question that is garbage, or for nobody, is nobody's trouble", async () => {
  const mint = vi.fn(() => TICKET);
  await started(mint);
  const event = `contrail-sync://${plugin.calls[0]?.args["session"]}/mint`;
  for (const payload of ["{", "null", "7", null, { handle: 1 }, '{"handle":9,"request":1}']) {
    await emit(event, payload);
  }
  expect(mint).not.toHaveBeenCalled();
  expect(await plugin.ask(1)).toMatchObject({ ticket: TICKET });
});

test("an answer that does not arrive is logged, without the ticket that Tauri quotes", async () => {
  await started(() => TICKET);
  plugin.intercept = ({ command, args }) => {
    if (command === "answer_mint") throw `invalid args for command answer_mint: ${JSON.stringify(args)}`;
  };
  void plugin.ask(1);
  await vi.waitFor(() => expect(log).toContain("mintTicket's answer was lost"));
  expect(log).not.toContain(TICKET);
});

declare global {
  interface Window {
    __TAURI_INTERNALS__: { invoke(command: string, args: unknown): Promise<unknown> };
  }
}
