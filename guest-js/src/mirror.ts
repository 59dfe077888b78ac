import type { Delta } from "./bindings/Delta.js";
import type { WireRecord } from "./bindings/WireRecord.js";

/** What a page knows of a watch: the records in Rust's order, as of revision `rev`. Never changed in place. */
export interface Mirror {
  readonly rev: number;
  /** One small integer per record, parallel to `records`. */
  readonly ids: readonly number[];
  readonly records: readonly WireRecord[];
}

/**
 * `records`, but those that `previous` has with the same content keep their object, and if nothing changed the
 * array is `previous` itself: a resync of what is already on screen renders nothing.
 */
export function reuse(
  records: readonly WireRecord[],
  previous: readonly WireRecord[],
): readonly WireRecord[] {
  const known = new Map(previous.map((record) => [identity(record), record]));
  const merged = records.map((record) => {
    const old = known.get(identity(record));
    return old && equal(old, record) ? old : record;
  });
  const same = merged.length === previous.length && merged.every((record, i) => record === previous[i]);
  return same ? previous : merged;
}

/**
 * The mirror after `delta`, in one pass over the records: what the delta removed or changed is dropped, then each
 * changed record takes its final index and the others keep their order around it. Unchanged records keep
 * their object; if no record changed the array stays.
 *
 * @returns `"stale"` for a delta that the mirror already contains, `"broken"` for one that does not follow it:
 * after the latter the whole state must be fetched.
 */
export function apply(mirror: Mirror, delta: Delta): Mirror | "stale" | "broken" {
  if (delta.rev <= mirror.rev) return "stale";
  if (delta.rev !== mirror.rev + 1) return "broken";

  const { changed, length, removed, rev } = delta;
  if (changed.length === 0 && removed.length === 0) {
    return length === mirror.records.length ? { ...mirror, rev } : "broken";
  }

  const gone = new Set(removed);
  for (const { id } of changed) gone.add(id);
  const kept: number[] = [];
  mirror.ids.forEach((id, i) => gone.has(id) || kept.push(i));
  if (kept.length + changed.length !== length) return "broken";

  const ids: number[] = [];
  const records: WireRecord[] = [];
  let nextKept = 0;
  let nextChanged = 0;
  while (ids.length < length) {
    const change = changed[nextChanged];
    if (change?.index === ids.length) {
      nextChanged += 1;
      ids.push(change.id);
      records.push(change.record);
      continue;
    }
    const i = kept[nextKept++];
    if (i === undefined) return "broken";
    ids.push(mirror.ids[i] as number);
    records.push(mirror.records[i] as WireRecord);
  }
  return { rev, ids, records };
}

/** (space, uri): the same `uri` may live in two spaces. */
function identity({ space, uri }: WireRecord): string {
  return `${space ?? ""} ${uri}`;
}

/** Whether two JSON values have the same content; the order of keys does not count. */
function equal(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && equal(a[key as never], b[key as never]))
  );
}
