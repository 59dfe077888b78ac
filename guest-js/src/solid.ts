/**
 * Live lists in Solid: {@link useWatchStore}.
 *
 * @packageDocumentation
 */
import { createEffect, createMemo, createSignal, onCleanup, untrack } from "solid-js";
import { follow, type LiveList, moreOf, read, storeOf, type StoreSource } from "./follow.js";
import type { Snapshot } from "./types.js";

export type { LiveList, MaybeStore, StoreSource } from "./follow.js";

/**
 * What a store shows, as an object whose properties are reactive; don't destructure it.
 *
 * ```tsx
 * const messages = createWatchStore<{ text: string }>({ url: "/xrpc/com.example.message.watchRecords?spaceUri=…" });
 *
 * function Messages() {
 *   const list = useWatchStore(messages);
 *   return (
 *     <ol aria-busy={list.status !== "live"}>
 *       <For each={list.records}>{(record) => <li>{record.value.text}</li>}</For>
 *     </ol>
 *   );
 * }
 * ```
 *
 * `<For>` keeps the rows of records that did not change; an edited record is a new object and gets a new row. `<Key>` of
 * `@solid-primitives/keyed` with `by="uri"` keeps that row, too.
 *
 * A store that depends on props comes from a function, which is called again when what it reads changes:
 *
 * ```tsx
 * const list = useWatchStore(() => createWatchStore<Message>({ url: messagesIn(props.room) }));
 * ```
 *
 * The store is started when the first component on the page mounts and stopped after the last is disposed of; one that
 * was started before is left as it is. Rendered on a server it is not started and shows no records.
 *
 * @param source - a store, a function that gives one, or `null` as long as there is nothing to watch
 */
export function useWatchStore<Value = Record<string, unknown>>(source: StoreSource<Value>): LiveList<Value> {
  const store = createMemo(() => storeOf(source));
  const current = createMemo(() => {
    const followed = store();
    const [snapshot, show] = createSignal(read(followed));
    createEffect(() => onCleanup(untrack(() => follow(followed, (next) => show(() => next)))));
    return snapshot;
  });
  const part = <Name extends keyof Snapshot<Value>>(name: Name) => createMemo(() => current()()[name]);
  const [records, status, error] = [part("records"), part("status"), part("error")];
  const [profiles, cursor, hasMore] = [part("profiles"), part("cursor"), part("hasMore")];
  return {
    get records() {
      return records();
    },
    get profiles() {
      return profiles();
    },
    get status() {
      return status();
    },
    get error() {
      return error();
    },
    get cursor() {
      return cursor();
    },
    get hasMore() {
      return hasMore();
    },
    loadMore: () => moreOf(untrack(store))(),
  };
}
