/**
 * Live lists in React: {@link useWatchStore}.
 *
 * @packageDocumentation
 */
import { type DependencyList, useCallback, useMemo, useSyncExternalStore } from "react";
import { follow, type LiveList, moreOf, NOTHING, read, storeOf, type StoreSource } from "./follow.js";
import type { Snapshot } from "./types.js";

export type { LiveList, MaybeStore, StoreSource } from "./follow.js";

/**
 * What a store shows, and a render whenever that changes.
 *
 * ```tsx
 * const messages = createWatchStore<{ text: string }>({ url: "/xrpc/com.example.message.watchRecords?spaceUri=…" });
 *
 * function Messages() {
 *   const { records, status } = useWatchStore(messages);
 *   return <ol aria-busy={status !== "live"}>{records.map((record) => <Message key={record.uri} record={record} />)}</ol>;
 * }
 *
 * const Message = memo(({ record }: { record: WatchRecord<{ text: string }> }) => <li>{record.value.text}</li>);
 * ```
 *
 * A store that depends on props comes from a function, which is called again when `deps` change, as in `useMemo`:
 *
 * ```tsx
 * const { records } = useWatchStore(() => createWatchStore<Message>({ url: messagesIn(room) }), [room]);
 * ```
 *
 * The store is started when the first component on the page mounts and stopped after the last has unmounted; one that
 * was started before is left as it is. Rendered on a server it is not started and shows no records.
 *
 * @param source - a store, a function that gives one, or `null` as long as there is nothing to watch
 * @param deps - what the function depends on
 * @returns `records`, `profiles`, `status`, `error`, `cursor`, `hasMore` and `loadMore`: the same object until one of them changes
 */
export function useWatchStore<Value = Record<string, unknown>>(
  source: StoreSource<Value>,
  deps: DependencyList = [],
): LiveList<Value> {
  const isFunction = typeof source === "function";
  const made = useMemo(() => (isFunction ? storeOf(source) : undefined), [isFunction, ...deps]);
  const store = isFunction ? made : source;
  const subscribe = useCallback((changed: () => void) => follow(store, changed), [store]);
  const snapshot = useSyncExternalStore<Snapshot<Value>>(
    subscribe,
    () => read(store),
    () => NOTHING,
  );
  return useMemo(() => ({ ...snapshot, loadMore: moreOf(store) }), [snapshot, store]);
}
