/**
 * Live lists in Vue: {@link useWatchStore}.
 *
 * @packageDocumentation
 */
import {
  computed,
  type ComputedRef,
  getCurrentInstance,
  type MaybeRefOrGetter,
  onMounted,
  shallowRef,
  toValue,
  watch,
} from "vue";
import { follow, type LiveList, type MaybeStore, moreOf, read } from "./follow.js";
import type { Snapshot } from "./types.js";

export type { MaybeStore } from "./follow.js";

/** `records`, `profiles`, `status`, `error`, `cursor` and `hasMore` of a store, each as a ref, and `loadMore`. */
export type LiveListRefs<Value = Record<string, unknown>> = {
  readonly [Name in keyof Snapshot<Value>]: ComputedRef<Snapshot<Value>[Name]>;
} & Pick<LiveList<Value>, "loadMore">;

/**
 * What a store shows, as refs.
 *
 * ```vue
 * <script setup lang="ts">
 * const messages = createWatchStore<{ text: string }>({ url: "/xrpc/com.example.message.watchRecords?spaceUri=…" });
 * const { records, status } = useWatchStore(messages);
 * </script>
 *
 * <template>
 *   <ol :aria-busy="status !== 'live'">
 *     <li v-for="record in records" :key="record.uri">{{ record.value.text }}</li>
 *   </ol>
 * </template>
 * ```
 *
 * A store that depends on props comes from a function or a ref, and is followed when it changes:
 *
 * ```ts
 * const { records } = useWatchStore(() => createWatchStore<Message>({ url: messagesIn(props.room) }));
 * ```
 *
 * The store is started when the first component on the page mounts and stopped after the last has unmounted; one that
 * was started before is left as it is. Rendered on a server it is not started and shows no records. Outside of
 * components the effect scope takes their place.
 *
 * @param source - a store, a function or ref that gives one, or `null` as long as there is nothing to watch
 */
export function useWatchStore<Value = Record<string, unknown>>(
  source: MaybeRefOrGetter<MaybeStore<Value>>,
): LiveListRefs<Value> {
  const store = computed<MaybeStore<Value>>(() => toValue(source));
  const snapshot = shallowRef<Snapshot<Value>>(read(store.value));
  const show = (next: Snapshot<Value>) => void (snapshot.value = next);
  const begin = () =>
    watch(store, (now, _, onCleanup) => onCleanup(follow(now, show)), { immediate: true, flush: "sync" });
  if (getCurrentInstance()) onMounted(() => void begin());
  else begin();
  return {
    records: computed(() => snapshot.value.records),
    profiles: computed(() => snapshot.value.profiles),
    status: computed(() => snapshot.value.status),
    error: computed(() => snapshot.value.error),
    cursor: computed(() => snapshot.value.cursor),
    hasMore: computed(() => snapshot.value.hasMore),
    loadMore: () => moreOf(store.value)(),
  };
}
