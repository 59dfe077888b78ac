import { createStore } from "solid-js/store";
import { isReactive, reactive, ref, shallowReactive } from "vue";
import { afterEach, beforeEach, expect, expectTypeOf, test, vi } from "vitest";
import { Page } from "./testing/page.js";
import { texts } from "./testing/records.js";
import { state } from "./testing/kept.svelte.js";
import type { WatchStore } from "./types.js";

let page: Page;
beforeEach(async () => (page = await Page.open()));
afterEach(() => page.close());

test.each<[string, (store: WatchStore) => WatchStore]>([
  ["a variable", (store) => store],
  ["Vue's ref", (store) => ref(store).value as WatchStore],
  ["Vue's reactive, as Pinia keeps its state", (store) => reactive({ store }).store as WatchStore],
  ["a reactive map of Vue's", (store) => reactive(new Map([["it", store]])).get("it") as WatchStore],
  ["Vue's shallowReactive", (store) => shallowReactive({ store }).store],
  ["Svelte's $state", (store) => state({ store }).store],
  ["Svelte's $state, itself", (store) => state(store)],
  ["a Solid store", (store) => createStore({ store })[0].store],
  ["a Solid store, itself", (store) => createStore(store as object)[0] as WatchStore],
  ["a proxy", (store) => new Proxy(store, {})],
  ["a prototype", (store) => Object.create(store) as WatchStore],
])("a store works as well where it is kept in %s", async (_, keep) => {
  const store = page.make();
  const kept = keep(store);
  const seen = vi.fn();
  kept.subscribe(seen);
  kept.start();
  await kept.ready;
  expect([kept.status, kept.error, kept.cursor, kept.hasMore]).toEqual(["live", null, null, false]);
  kept.addOptimistic({ rkey: "new", did: "did:plc:alice", value: { text: "hi" } });
  await vi.waitFor(() => expect(texts(kept.records)).toEqual(["hi", "b v0", "a v0"]));
  expect(kept.records).toEqual(store.records);
  kept.markFailed("new");
  kept.removeOptimistic("new");
  await vi.waitFor(() => expect(kept.records).toHaveLength(2));
  await kept.loadMore();
  kept.stop();
  expect(store.status).toBe("closed");
  kept[Symbol.dispose]();
  expect(seen).toHaveBeenCalled();
});

test("no framework wraps a store", () => {
  const store = page.make();
  expect([isReactive(ref(store).value), isReactive(reactive({ store }).store)]).toEqual([false, false]);
  expect(state({ store }).store).toBe(store);
  expect(createStore({ store })[0].store).toBe(store);
});

// What typescript-eslint's rule `unbound-method` looks for.
test("methods say by their types that they need no `this`", () => {
  type Methods = Pick<
    WatchStore,
    { [K in keyof WatchStore]: WatchStore[K] extends Function ? K : never }[keyof WatchStore]
  >;
  type This = { [Name in keyof Methods]: ThisParameterType<Methods[Name]> };
  expectTypeOf<This>().toEqualTypeOf<Record<keyof Methods, void>>();
  expectTypeOf<keyof Methods>().toEqualTypeOf<
    | "subscribe"
    | "start"
    | "stop"
    | "addOptimistic"
    | "markFailed"
    | "removeOptimistic"
    | "put"
    | "delete"
    | "writeOf"
    | "loadMore"
    | "refresh"
    | "destroy"
    | typeof Symbol.dispose
  >();
});
