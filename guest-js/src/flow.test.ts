import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { FakePlugin } from "./testing/fake-plugin.js";
import { answerLate, Page } from "./testing/page.js";
import { record, texts } from "./testing/records.js";
import { gate, settled, until } from "./testing/until.js";
import type { Snapshot, WatchStore } from "./types.js";

let page: Page;
let plugin: FakePlugin;
/** Runs what waits for the next frame. */
let frame: () => void;

beforeEach(async () => {
  page = await Page.open();
  plugin = page.plugin;
  const waiting = new Map<number, FrameRequestCallback>();
  let last = 0;
  vi.stubGlobal("requestAnimationFrame", (run: FrameRequestCallback) => {
    waiting.set(++last, run);
    return last;
  });
  vi.stubGlobal("cancelAnimationFrame", (id: number) => waiting.delete(id));
  frame = () => {
    const now = [...waiting.values()];
    waiting.clear();
    for (const run of now) run(0);
  };
});

afterEach(() => {
  page.close();
  vi.useRealTimers();
});

const many = (length: number, version = 0) => Array.from({ length }, (_, i) => record(`r${i}`, version));
const acks = () => plugin.handles("ack_watch").length;

/** How many records each snapshot has, with its status, leaving out repetitions. */
function sizes(store: WatchStore): string[] {
  const seen: string[] = [];
  store.subscribe(({ status, records }: Snapshot) => {
    const size = `${status} ${records.length}`;
    if (seen.at(-1) !== size) seen.push(size);
  });
  return seen;
}

describe("an acknowledgement", () => {
  test("is sent once the next frame is drawn, not before", async () => {
    await page.started();
    await plugin.push({ records: [record("c")] });
    await settled();
    expect(acks()).toBe(0);
    frame();
    expect(acks()).toBe(0);
    await vi.waitFor(() => expect(acks()).toBe(1));
    await settled();
    expect(acks()).toBe(1);
  });

  test("is sent after a second where no frame comes, as in a hidden page", async () => {
    await page.started();
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    await plugin.push({ records: [record("c")] });
    vi.advanceTimersByTime(999);
    expect(acks()).toBe(0);
    vi.advanceTimersByTime(1);
    expect(acks()).toBe(1);
    // The frame that comes when the page is shown again has nothing left to do.
    frame();
    expect(acks()).toBe(1);
  });

  test("is sent once for each delta, so that there are no more deltas than frames", async () => {
    const store = await page.started();
    const seen = vi.fn();
    store.subscribe(seen);
    seen.mockClear();
    for (let n = 1; n <= 50; n++) await plugin.push({ records: [record("b", n)] });
    expect(seen).toHaveBeenCalledTimes(1);
    frame();
    await settled();
    expect(seen).toHaveBeenCalledTimes(2);
    expect(texts(store.records)).toEqual(["b v50"]);
    expect(acks()).toBe(1);
  });

  test("is answered with what came meanwhile, which is applied like an event's delta", async () => {
    const store = await page.started();
    const emitted = vi.spyOn(plugin, "send");
    await plugin.push({ records: [record("c"), record("b")] });
    await plugin.push({ records: [record("d"), record("c"), record("b")] });
    frame();
    await vi.waitFor(() => expect(texts(store.records)).toEqual(["d v0", "c v0", "b v0"]));
    expect(emitted).toHaveBeenCalledTimes(1);
    frame();
    await vi.waitFor(() => expect(acks()).toBe(2));
    expect(plugin.handles("watch_state")).toEqual([]);
  });

  test("of a Rust that answers null leaves the next delta to an event", async () => {
    const store = await page.started();
    await plugin.push({ records: [record("c")] });
    frame();
    await settled();
    await plugin.push({ records: [record("d")] });
    expect(texts(store.records)).toEqual(["d v0"]);
  });

  test("answered with garbage is a reason to fetch the state", async () => {
    const store = await page.started();
    const { invoke } = window.__TAURI_INTERNALS__;
    window.__TAURI_INTERNALS__.invoke = async (name: string, args: unknown) => {
      const answer = await invoke(name, args);
      return name.endsWith("ack_watch") ? { rev: 3 } : answer;
    };
    await plugin.push({ records: [record("c")] });
    frame();
    await vi.waitFor(() => expect(plugin.handles("watch_state")).toEqual([1]));
    expect(texts(store.records)).toEqual(["c v0"]);
  });

  test("that is answered after a stop shows nothing any more", async () => {
    const store = await page.started();
    const answer = gate();
    answerLate("ack_watch", answer);
    await plugin.push({ records: [record("c")] });
    await plugin.push({ records: [record("d")] });
    frame();
    store.stop();
    answer.open();
    await settled();
    expect(texts(store.records)).toEqual(["c v0"]);
    expect(store.status).toBe("closed");
  });

  test("is not taken back by a part that arrives after a state that overtook it", async () => {
    Object.assign(plugin, { records: many(10), chunk: 3 });
    const answer = gate();
    answerLate("ack_watch", answer);
    const store = page.make();
    store.start();
    await vi.waitFor(() => expect(acks()).toBe(2));
    plugin.chunk = Infinity;
    page.comeBack();
    await store.ready;
    await plugin.push({ records: many(11) });
    answer.open();
    await settled();
    expect(acks()).toBe(2);
    frame();
    await plugin.caughtUp();
    expect(acks()).toBe(3);
  });

  test("is not sent by a stopped store", async () => {
    const store = await page.started();
    await plugin.push({ records: [record("c")] });
    store.stop();
    frame();
    expect(acks()).toBe(0);
  });
});

describe("a list that comes in parts", () => {
  test("shows its first part at once, then grows part by part without waiting for frames", async () => {
    Object.assign(plugin, { records: many(10), chunk: 3 });
    const store = page.make();
    const seen = sizes(store);
    store.start();
    await store.ready;
    expect(seen).toEqual(["idle 0", "connecting 0", "snapshot 3", "snapshot 6", "snapshot 9", "live 10"]);
    expect(texts(store.records)).toEqual(texts(plugin.records));
  });

  test("shows what arrives first in a frame of its own, before it asks for more", async () => {
    Object.assign(plugin, { records: [], status: "connecting", chunk: 3 });
    const store = page.make();
    store.start();
    await settled();
    // Does not wait until it is applied: the rest comes after the frame.
    void plugin.push({ status: "live", records: many(10) });
    await until(store, ({ records }) => records.length === 3);
    await settled();
    expect(acks()).toBe(0);
    frame();
    await until(store, ({ records }) => records.length === 10);
    expect(texts(store.records)).toEqual(texts(plugin.records));
  });

  test("stays on screen as it was during a resync, and every unchanged record keeps its object", async () => {
    Object.assign(plugin, { records: many(10), chunk: 3 });
    const store = await page.started();
    frame();
    await plugin.caughtUp();
    const before = store.records;
    const seen = sizes(store);
    plugin.records = [record("new"), ...many(10).slice(0, 4), record("r4", 1), ...many(10).slice(6)];
    page.comeBack();
    await vi.waitFor(() => expect(store.records).not.toBe(before));
    expect(seen).toEqual(["live 10"]);
    expect(texts(store.records)).toEqual(texts(plugin.records));
    for (const it of store.records) {
      const old = before.find(({ uri }) => uri === it.uri);
      expect(it === old).toBe(!["new", "r4"].includes(it.rkey));
    }
  });

  test("tells nobody of a resync that found nothing new", async () => {
    Object.assign(plugin, { records: many(10), chunk: 3 });
    const store = await page.started();
    frame();
    await plugin.caughtUp();
    const seen = vi.fn();
    store.subscribe(seen);
    seen.mockClear();
    page.comeBack();
    await vi.waitFor(() => expect(plugin.handles("watch_state")).toEqual([1]));
    await vi.waitFor(() => expect(plugin.opens.get(1)!.told).toHaveLength(10));
    await settled();
    expect(seen).not.toHaveBeenCalled();
  });

  test("stays on screen when a resync comes while another is not whole", async () => {
    Object.assign(plugin, { records: many(10), chunk: 3 });
    const store = await page.started();
    frame();
    await plugin.caughtUp();
    const { records } = store;
    const [first] = records;
    page.comeBack();
    page.comeBack();
    await vi.waitFor(() => expect(plugin.handles("watch_state")).toEqual([1, 1]));
    await vi.waitFor(() => expect(plugin.opens.get(1)!.told).toHaveLength(10));
    await settled();
    expect(store.records).toBe(records);
    expect(store.records[0]).toBe(first);
  });

  test("that was forgotten keeps its objects when it is opened again", async () => {
    Object.assign(plugin, { records: many(10), chunk: 4 });
    const store = await page.started();
    const { records } = store;
    const seen = sizes(store);
    plugin.forget();
    page.comeBack();
    await vi.waitFor(() => expect(plugin.opens.get(2)?.told).toHaveLength(10));
    await until(store, ({ status }) => status === "live");
    expect(store.records).toBe(records);
    expect(new Set(seen.map((it) => it.split(" ")[1]))).toEqual(new Set(["10"]));
  });

  test("with which the watch ends is shown whole", async () => {
    Object.assign(plugin, { records: many(10), chunk: 4, status: "closed" });
    plugin.error = { kind: "disconnected", message: "reconnect is off" };
    const store = page.make();
    store.start();
    await until(store, ({ status }) => status === "closed");
    expect(store.records).toHaveLength(10);
    expect(store.error?.kind).toBe("disconnected");
  });
});

test("a Rust that does not know of parts yet is followed as well", async () => {
  const { invoke } = window.__TAURI_INTERNALS__;
  window.__TAURI_INTERNALS__.invoke = async (name: string, args: unknown) => {
    const answer = await invoke(name, args);
    if (name.endsWith("ack_watch")) return null;
    if (answer && typeof answer === "object" && "more" in answer) delete answer.more;
    return answer;
  };
  plugin.tamper = (payload) => payload.replace(/,"more":(true|false)/, "");
  const store = await page.started();
  await plugin.push({ records: [record("c"), record("b")] });
  frame();
  await plugin.caughtUp();
  await plugin.push({ records: [record("b", 1)] });
  expect(texts(store.records)).toEqual(["b v1"]);
});
