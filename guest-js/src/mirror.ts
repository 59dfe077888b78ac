import type { Delta } from "./bindings/Delta.js";
import { type Index, reuse, same } from "./identity.js";
import { unpack, type WireRecord } from "./record.js";

/** What a page knows of a watch: the records in Rust's order, as of revision `rev`. Never changed in place. */
export interface Mirror {
  readonly rev: number;
  /** One small integer per record, parallel to `records`. */
  readonly ids: readonly number[];
  readonly records: readonly WireRecord[];
}

/**
 * The mirror after `delta`: what the delta removed or changed is dropped, then each changed record takes its final
 * index and the others keep their order around it. At most one pass over the records, and none but a copy where
 * records only changed in place or came in. Unchanged records keep their object, be it one of `known`.
 *
 * @returns nothing for a delta that does not follow the mirror: the whole state must be fetched then
 */
export function apply(mirror: Mirror, delta: Delta, ...known: readonly Index[]): Mirror | undefined {
  const { ids: changed, indexes, common, length, rev } = delta;
  const { ids, records } = mirror;
  const dropped = drops(ids, delta);
  const follows = rev === mirror.rev + 1 && length === ids.length - dropped.size + changed.length;
  if (!follows) return undefined;

  /** What a change puts in its place. */
  const settled = delta.records.map((packed, i) => {
    const record = reuse(unpack(packed, common), ...known);
    const at = dropped.get(changed[i]!);
    return at === undefined ? record : same(records[at], record);
  });
  const inPlace = length === ids.length && changed.every((id, i) => ids[indexes[i]!] === id);
  if (!inPlace) return merge(mirror, delta, settled, [...dropped.values()]);
  const next = records.slice();
  settled.forEach((record, i) => (next[indexes[i]!] = record));
  return { rev, ids, records: next };
}

/** Where the old list has what the delta drops, by id, ascending. */
function drops(ids: readonly number[], delta: Delta): Map<number, number> {
  const { ids: changed, indexes, length, removed } = delta;
  const found = new Map<number, number>();
  let added = 0;
  // Most changed records kept their place; where another is, it is a new one.
  changed.forEach((id, i) => {
    const at = indexes[i]! - added;
    if (ids[at] === id) found.set(id, at);
    else added += 1;
  });
  if (!removed.length && ids.length + added === length) return found;
  // There is more to it: look at every one.
  const gone = new Set([...removed, ...changed]);
  found.clear();
  ids.forEach((id, at) => {
    if (gone.has(id)) found.set(id, at);
  });
  return found;
}

/** Puts the settled changes among the old ones, without those at `holes`. */
function merge(
  old: Mirror,
  { ids: changed, indexes, length, rev }: Delta,
  settled: readonly WireRecord[],
  holes: readonly number[],
): Mirror | undefined {
  const ids = new Array<number>(length);
  const records = new Array<WireRecord>(length);
  let next = 0;
  let hole = 0;
  let from = 0;
  for (let to = 0; to < length; to++) {
    if (to === indexes[next]) {
      ids[to] = changed[next]!;
      records[to] = settled[next]!;
      next += 1;
    } else {
      while (from === holes[hole]) {
        from += 1;
        hole += 1;
      }
      if (from === old.ids.length) return undefined;
      ids[to] = old.ids[from]!;
      records[to] = old.records[from]!;
      from += 1;
    }
  }
  return { rev, ids, records };
}
