/** @jsxImportSource solid-js */
import { createSignal, For, Index, Show } from "solid-js";
import { render } from "solid-js/web";
import { storeOf } from "../../follow.js";
import { useWatchStore } from "../../solid.js";
import type { ListProps, Show as ShowList } from "./shown.js";

export function List(props: ListProps) {
  const list = useWatchStore(() => storeOf(props.source));
  return (
    <section>
      <output>{list.status}</output>
      <ol>
        <For each={list.records}>
          {(record) => {
            props.rendered(record.rkey);
            return <li>{record.value.text}</li>;
          }}
        </For>
      </ol>
      <Show when={list.hasMore}>
        <button onClick={list.loadMore}>{list.cursor}</button>
      </Show>
    </section>
  );
}

export const show: ShowList = (target, props) => {
  const [count, repeat] = createSignal(1);
  const [round, renew] = createSignal(1);
  const [source, change] = createSignal(props.source);
  const lists = () => Array.from({ length: count() });
  render(
    () => (
      <Show when={round()} keyed>
        {(_) => <Index each={lists()}>{() => <List source={source()} rendered={props.rendered} />}</Index>}
      </Show>
    ),
    target,
  );
  return {
    repeat: (count) => void repeat(count),
    renew: () => void renew((round) => round + 1),
    change: (source) => void change(() => source),
  };
};
