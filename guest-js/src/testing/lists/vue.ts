import { createApp, defineComponent, h, nextTick, type PropType, shallowRef } from "vue";
import { storeOf } from "../../follow.js";
import { useWatchStore } from "../../vue.js";
import type { BodyRecord, ListProps, Show } from "./shown.js";

const rendered = { type: Function as PropType<ListProps["rendered"]>, required: true } as const;

const Row = defineComponent({
  props: { record: { type: Object as PropType<BodyRecord>, required: true }, rendered },
  setup: (props) => () => {
    props.rendered(props.record.rkey);
    return h("li", props.record.value.text);
  },
});

export const List = defineComponent({
  props: { source: { type: null as unknown as PropType<ListProps["source"]>, required: true }, rendered },
  setup(props) {
    const { records, status, cursor, hasMore, loadMore } = useWatchStore(() => storeOf(props.source));
    return () =>
      h("section", [
        h("output", status.value),
        h(
          "ol",
          records.value.map((record) => h(Row, { key: record.uri, record, rendered: props.rendered })),
        ),
        hasMore.value && h("button", { onClick: loadMore }, cursor.value ?? ""),
      ]);
  },
});

export const show: Show = (target, props) => {
  const shown = shallowRef({ ...props, count: 1, round: 0 });
  const change = (change: Partial<typeof shown.value>) => {
    shown.value = { ...shown.value, ...change };
    return nextTick();
  };
  createApp(() => {
    const { count, round, ...props } = shown.value;
    return Array.from({ length: count }, (_, i) => h(List, { key: `${round} ${i}`, ...props }));
  }).mount(target);
  return {
    repeat: (count) => change({ count }),
    renew: () => change({ round: shown.value.round + 1 }),
    change: (source) => change({ source }),
  };
};
