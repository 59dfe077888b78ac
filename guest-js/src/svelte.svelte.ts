/**
 * Live lists in Svelte 5: {@link useWatchStore}.
 *
 * @packageDocumentation
 */
import { createSubscriber } from "svelte/reactivity";
import { follow, type LiveList, moreOf, read, storeOf, type StoreSource } from "./follow.js";

export type { LiveList, MaybeStore, StoreSource } from "./follow.js";

/**
 * What a store shows, as an object whose properties are reactive; don't destructure it.
 *
 * ```svelte
 * <script lang="ts">
 *   const messages = createWatchStore<{ text: string }>({ url: "/xrpc/com.example.message.watchRecords?spaceUri=…" });
 *   const list = useWatchStore(messages);
 * </script>
 *
 * <ol aria-busy={list.status !== "live"}>
 *   {#each list.records as record (record.uri)}
 *     <li>{record.value.text}</li>
 *   {/each}
 * </ol>
 * ```
 *
 * A store that depends on props comes from a function, which is called again when what it reads changes:
 *
 * ```ts
 * const list = useWatchStore(() => createWatchStore<Message>({ url: messagesIn(room) }));
 * ```
 *
 * The store is started when the first template or effect on the page reads it and stopped after the last is gone; one
 * that was started before is left as it is. Rendered on a server it is not started and shows no records.
 *
 * @param source - a store, a function that gives one, or `null` as long as there is nothing to watch
 */
export function useWatchStore<Value = Record<string, unknown>>(source: StoreSource<Value>): LiveList<Value> {
  const store = $derived.by(() => storeOf(source));
  const current = $derived.by(() => {
    const followed = store;
    const subscribe = createSubscriber((update) => follow(followed, update));
    return () => {
      subscribe();
      return read(followed);
    };
  });
  return {
    get records() {
      return current().records;
    },
    get profiles() {
      return current().profiles;
    },
    get status() {
      return current().status;
    },
    get error() {
      return current().error;
    },
    get cursor() {
      return current().cursor;
    },
    get hasMore() {
      return current().hasMore;
    },
    loadMore: () => moreOf(store)(),
  };
}
