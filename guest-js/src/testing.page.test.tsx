/** @jsxImportSource react */
// The fake in tests that are in a hurry: restored while much is under way, with fake timers, in a strict component.
import { act, StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { afterEach, beforeEach, describe, expect, type MockInstance, test, vi } from "vitest";
import { createWatchStore, onCacheWarning, watchWrites, type WatchStore } from "./index.js";
import { useWatchStore } from "./react.js";
import { fakeContrailSync, type FakeContrailSync } from "./testing.js";
import { settled } from "./testing/until.js";

const alice = "did:plc:alice";
const url = `/xrpc/com.example.message.listRecords?actor=${alice}`;
const hello = { rkey: "1", value: { text: "hello" } };

interface Message {
  text: string;
}

let appview: FakeContrailSync;
let printed: MockInstance[];
beforeEach(() => {
  printed = [vi.spyOn(console, "warn"), vi.spyOn(console, "error")];
  appview = fakeContrailSync();
});
afterEach(() => {
  appview.restore();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** A store as an app makes it: what it has to say goes to the console. */
function started(options: object = {}): WatchStore<Message> {
  const store = createWatchStore<Message>({ url, ...options });
  store.start();
  return store;
}

const list = () => appview.watch<Message>(url);

const isQuiet = async () => {
  await settled();
  for (const it of printed) expect(it).not.toHaveBeenCalled();
};

describe("a fake that is restored", () => {
  test("closes stores, and prints nothing of what was under way or is given back later", async () => {
    const store = started({ account: alice, sender: { sender: "pds" } });
    await list().snapshot([hello]);
    const ends = [watchWrites({ account: alice }, () => {}), onCacheWarning(() => {})];
    await store.put({ did: alice, value: { text: "mine" } });
    void store.refresh().catch(() => {});
    await appview.settled();
    void store.put({ did: alice, value: { text: "mine, too" } }).catch(() => {});
    appview.restore();
    for (const end of ends) end();
    store.destroy();
    await isQuiet();
    expect(store).toMatchObject({ status: "closed", records: [] });
  });

  test.each(Array.from({ length: 9 }, (_, n) => n))(
    "closes a store that is opening, be it %i steps on its way",
    async (steps) => {
      const store = started();
      for (let step = 0; step < steps; step++) await Promise.resolve();
      appview.restore();
      await isQuiet();
      expect(store).toMatchObject({ status: "closed", error: null });
    },
  );

  test("leaves the queues of writes to the next one", async () => {
    for (const text of ["first", "second"]) {
      appview = fakeContrailSync();
      const store = started({ account: alice, sender: { sender: "pds" } });
      await list().snapshot([hello]);
      const write = await store.put({ did: alice, rkey: "2", value: { text } });
      await appview.writes[0]!.sent();
      await appview.settled();
      expect(write.state).toBe("sent");
      // The next fake comes while this is on its way.
      void store.put({ did: alice, rkey: "3", value: { text } }).catch(() => {});
    }
    await isQuiet();
  });
});

test("timers may be fake from before the fake on, or for a while", async () => {
  vi.useFakeTimers();
  appview = fakeContrailSync();
  const store = started();
  void list().snapshot([hello]);
  await vi.advanceTimersByTimeAsync(50);
  expect(store.records).toHaveLength(1);
  void list().create({ rkey: "2", value: { text: "" } });
  await vi.advanceTimersByTimeAsync(50);
  vi.useRealTimers();
  await list().create({ rkey: "3", value: { text: "" } });
  expect(store.records).toHaveLength(3);
});

test("a strict component that goes while its store is connecting leaves nothing open", async () => {
  vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);
  const store = createWatchStore<Message>({ url });
  const App = () => (
    <ol>
      {useWatchStore(store).records.map(({ uri, value }) => (
        <li key={uri}>{value.text}</li>
      ))}
    </ol>
  );
  const target = document.createElement("div");
  const strict = (
    <StrictMode>
      <App />
    </StrictMode>
  );
  const first = createRoot(target);
  await act(() => first.render(strict));
  await act(() => first.unmount());
  await vi.waitFor(() => expect(list().followers).toBe(0));
  const second = createRoot(target);
  await act(() => second.render(strict));
  await act(() => list().snapshot([hello]));
  expect(target.textContent).toBe("hello");
  await act(() => second.unmount());
  appview.restore();
  await isQuiet();
});

test("a sender that has not answered holds up its own writes alone", async () => {
  const store = started({ account: alice, sender: () => new Promise<void>(() => {}) });
  await list().snapshot([hello]);
  const write = await store.put({ did: alice, rkey: "2", value: { text: "mine" } });
  await list().create({ rkey: "3", value: { text: "theirs" } });
  expect(store.records.map(({ value }) => value.text)).toEqual(["theirs", "mine", "hello"]);
  expect(write.state).toBe("sending");
});
