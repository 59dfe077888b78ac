import type { Snapshot, WatchStore } from "./types.js";

/** A store; a function that makes or finds one; or neither, as long as there is nothing to watch. */
export type StoreSource<Value = Record<string, unknown>> = MaybeStore<Value> | (() => MaybeStore<Value>);

/** A store, if there is one. */
export type MaybeStore<Value = Record<string, unknown>> = WatchStore<Value> | null | undefined;

/** What shows where there is no store, and on a server. */
export const NOTHING: Snapshot<never> = { records: [], status: "idle", error: null };

/** The store that `source` stands for now. */
export function storeOf<Value>(source: StoreSource<Value>): MaybeStore<Value> {
  return typeof source === "function" ? source() : source;
}

/** What `store` shows now: the same object until it changes. */
export function read<Value>(store: MaybeStore<Value>): Snapshot<Value> {
  let current: Snapshot<Value> = NOTHING;
  store?.subscribe((snapshot) => (current = snapshot))();
  return current;
}

/**
 * Calls `listener` with what `store` shows, at once and at each change, and keeps the store started meanwhile.
 * On a server it does nothing.
 *
 * @returns a function that ends it
 */
export function follow<Value>(
  store: MaybeStore<Value>,
  listener: (snapshot: Snapshot<Value>) => void,
): () => void {
  if (!store || typeof window === "undefined") {
    listener(NOTHING);
    return () => {};
  }
  const unsubscribe = store.subscribe(listener);
  const release = hold(store);
  return () => {
    unsubscribe();
    release();
  };
}

interface Hold {
  users: number;
  /** Whether the store was started here: one that the app started is the app's to stop. */
  readonly ours: boolean;
  ending?: ReturnType<typeof setTimeout>;
}

/** Of each store that something follows, whichever framework shows it. */
const holds = new WeakMap<object, Hold>();

/** Starts `store` for its first user. The function that this returns stops it after its last. */
function hold<Value>(store: WatchStore<Value>): () => void {
  const held = holds.get(store) ?? begin(store);
  held.users += 1;
  clearTimeout(held.ending);
  return () => {
    held.users -= 1;
    if (held.users > 0) return;
    // Not at once: whoever unmounts a component often mounts one like it in the same tick.
    held.ending = setTimeout(() => {
      holds.delete(store);
      if (held.ours) store.stop();
    });
  };
}

function begin<Value>(store: WatchStore<Value>): Hold {
  const held = { users: 0, ours: store.status === "idle" || store.status === "closed" };
  // Before it starts, which calls listeners: they may mount more users.
  holds.set(store, held);
  if (held.ours) store.start();
  return held;
}
