import { opaque } from "./opaque.js";
import type { Snapshot, WatchStore } from "./types.js";

/** What stands behind a store. Its methods are bound. */
export interface Core<Value> extends Omit<WatchStore<Value>, keyof Snapshot<Value> | typeof Symbol.dispose> {
  readonly snapshot: Snapshot<Value>;
}

/** What the app gets of a store. It has no private fields and needs no `this`, so that a proxy of it is as good. */
export function handleOf<Value>(core: Core<Value>): WatchStore<Value> {
  const { subscribe, start, stop, addOptimistic, markFailed, removeOptimistic, loadMore, refresh, destroy } =
    core;
  const { put, delete: remove, writeOf } = core;
  const handle = {
    get records() {
      return core.snapshot.records;
    },
    get profiles() {
      return core.snapshot.profiles;
    },
    get status() {
      return core.snapshot.status;
    },
    get error() {
      return core.snapshot.error;
    },
    get cursor() {
      return core.snapshot.cursor;
    },
    get hasMore() {
      return core.snapshot.hasMore;
    },
    get ready() {
      return core.ready;
    },
    ...{ subscribe, start, stop, addOptimistic, markFailed, removeOptimistic, loadMore, refresh, destroy },
    ...{ put, delete: remove, writeOf },
  };
  // Older webviews lack the symbol.
  if (Symbol.dispose) Object.assign(handle, { [Symbol.dispose]: destroy });
  return opaque(handle) as WatchStore<Value>;
}
