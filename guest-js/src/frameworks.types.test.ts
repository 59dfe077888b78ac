import { computed, type ComputedRef, shallowRef } from "vue";
import { expectTypeOf, test } from "vitest";
import type { WatchError } from "./error.js";
import type { LiveList } from "./follow.js";
import { useWatchStore as inReact } from "./react.js";
import { useWatchStore as inSolid } from "./solid.js";
import { createWatchStore } from "./store.js";
import { useWatchStore as inSvelte } from "./svelte.svelte.js";
import type { Body } from "./testing/lists/shown.js";
import type { WatchRecord } from "./types.js";
import { useWatchStore as inVue } from "./vue.js";

const store = createWatchStore<Body>({ url: "/watch" });
const make = () => createWatchStore<Body>({ url: "/watch" });
const untyped = createWatchStore({ url: "/watch" });
const maybe = store as typeof store | null;

// Types only: nothing of this is called.
test("the shape of the records' value gets from the store to the rows", () => {
  for (const use of [inReact, inSvelte, inSolid]) {
    expectTypeOf(() => use(store)).returns.toEqualTypeOf<LiveList<Body>>();
    expectTypeOf(() => use(make)).returns.toEqualTypeOf<LiveList<Body>>();
    expectTypeOf(() => use(maybe)).returns.toEqualTypeOf<LiveList<Body>>();
    expectTypeOf(() => use(() => maybe)).returns.toEqualTypeOf<LiveList<Body>>();
    expectTypeOf(() => use(untyped)).returns.toEqualTypeOf<LiveList>();
    expectTypeOf(() => use(store).records[0]!.value.text).returns.toEqualTypeOf<string>();
  }
  for (const source of [store, make, maybe, () => maybe, shallowRef(maybe), computed(() => maybe)] as const) {
    expectTypeOf(() => inVue(source).records).returns.toEqualTypeOf<
      ComputedRef<readonly WatchRecord<Body>[]>
    >();
    expectTypeOf(() => inVue(source).hasMore.value).returns.toEqualTypeOf<boolean>();
    expectTypeOf(() => inVue(source).cursor.value).returns.toEqualTypeOf<string | null>();
    expectTypeOf(() => inVue(source).loadMore()).returns.toEqualTypeOf<Promise<void>>();
    expectTypeOf(() => inVue(source).error.value).returns.toEqualTypeOf<WatchError | null>();
  }
  expectTypeOf(() => inVue(untyped).records.value[0]!.value).returns.toEqualTypeOf<Record<string, unknown>>();
});

test("what is no store is refused", () => {
  // @ts-expect-error: options make no store by themselves
  void (() => inReact({ url: "/watch" }));
  // @ts-expect-error
  void (() => inSvelte({ url: "/watch" }));
  // @ts-expect-error
  void (() => inVue({ url: "/watch" }));
  // @ts-expect-error
  void (() => inSolid({ url: "/watch" }));
});
