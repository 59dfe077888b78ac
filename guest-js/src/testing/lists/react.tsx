/** @jsxImportSource react */
import { Fragment, memo, StrictMode } from "react";
import { flushSync } from "react-dom";
import { createRoot } from "react-dom/client";
import { useWatchStore } from "../../react.js";
import type { BodyRecord, ListProps, Show } from "./shown.js";

const Row = memo(({ record, rendered }: { record: BodyRecord; rendered: ListProps["rendered"] }) => {
  rendered(record.rkey);
  return <li>{record.value.text}</li>;
});

export function List({ source, rendered }: ListProps) {
  const { records, status, cursor, hasMore, loadMore } = useWatchStore(source, [source]);
  return (
    <section>
      <output>{status}</output>
      <ol>
        {records.map((record) => (
          <Row key={record.uri} record={record} rendered={rendered} />
        ))}
      </ol>
      {hasMore && <button onClick={loadMore}>{cursor}</button>}
    </section>
  );
}

const inMode =
  (Mode: typeof StrictMode): Show =>
  (target, props) => {
    const root = createRoot(target);
    let shown = { ...props, count: 1, round: 0 };
    const show = (change: Partial<typeof shown>) => {
      const { count, round, ...props } = (shown = { ...shown, ...change });
      const lists = Array.from({ length: count }, (_, i) => <List key={`${round} ${i}`} {...props} />);
      flushSync(() => root.render(<Mode>{lists}</Mode>));
    };
    show({});
    return {
      repeat: (count) => show({ count }),
      renew: () => show({ round: shown.round + 1 }),
      change: (source) => show({ source }),
    };
  };

export const show = inMode(Fragment);
export const showStrictly = inMode(StrictMode);
