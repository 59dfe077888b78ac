import type { Snapshot, WatchStore } from "./types.js";

/** A store; a function that makes or finds one; or neither, as long as there is nothing to watch. */
export type StoreSource<Value = Record<string, unknown>> = MaybeStore<Value> | (() => MaybeStore<Value>);

/** A store, if there is one. */
export type MaybeStore<Value = Record<string, unknown>> = WatchStore<Value> | null | undefined;

/** What a store shows, and what loads the next page of older records into it. */
export interface LiveList<Value = Record<string, unknown>> extends Snapshot<Value> {
  /** The store's {@link WatchStore.loadMore}, bound. Where there is no store there is nothing to load. */
  readonly loadMore: (this: void) => Promise<void>;
}

/** What shows where there is no store, and on a server. */
export const NOTHING: Snapshot<never> = {
  records: [],
  profiles: {},
  status: "idle",
  error: null,
  cursor: null,
  hasMore: false,
};

/** The store that `source` stands for now. */
export function storeOf<Value>(source: StoreSource<Value>): MaybeStore<Value> {
  return typeof source === "function" ? source() : source;
}

/** What loads more into `store`. */
export function moreOf<Value>(store: MaybeStore<Value>): () => Promise<void> {
  return store ? store.loadMore : () => Promise.resolve();
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
  /** The second user, in the tick in which it came: perhaps in the place of the first. */
  newcomer?: object | undefined;
  /** When it was started again, in milliseconds. */
  tries: number[];
}

/** So often a closed store is started again … */
const MAX_TRIES = 5;
/** … in so many milliseconds: what mounts anew may do so because the store is closed. */
const TRIES_MS = 10_000;

/** By a function of each store that something follows, whichever framework shows it: a proxy of a store has the same. */
const holds = new WeakMap<object, Hold>();

/** Starts `store` for its first user. The function that this returns stops it after its last. */
function hold<Value>(store: WatchStore<Value>): () => void {
  const known = holds.get(store.subscribe);
  const held = known ?? begin(store);
  held.users += 1;
  clearTimeout(held.ending);
  if (known && held.users === 1) startAgain(store, held);
  const user = {};
  if (held.users === 2) {
    held.newcomer = user;
    setTimeout(() => (held.newcomer = undefined));
  }
  return () => {
    held.users -= 1;
    // Svelte mounts the new component before it unmounts the old one.
    if (held.users === 1 && held.newcomer && held.newcomer !== user) startAgain(store, held);
    if (held.users > 0) return;
    // Not at once: whoever unmounts a component often mounts one like it in the same tick.
    held.ending = setTimeout(() => {
      holds.delete(store.subscribe);
      if (held.ours) store.stop();
    });
  };
}

function begin<Value>(store: WatchStore<Value>): Hold {
  const ours = store.status === "idle" || store.status === "closed";
  const held = { users: 0, ours, tries: [] };
  // Before it starts, which calls listeners: they may mount more users.
  holds.set(store.subscribe, held);
  if (ours) store.start();
  return held;
}

/** Who mounts in the place of the only one that showed a closed store tries again. */
function startAgain<Value>(store: WatchStore<Value>, held: Hold): void {
  if (!held.ours || store.status !== "closed") return;
  const now = Date.now();
  held.tries = held.tries.filter((time) => now - time < TRIES_MS);
  if (held.tries.push(now) <= MAX_TRIES) store.start();
}
