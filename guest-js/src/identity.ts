import type { WireRecord } from "./record.js";

// Which record is which, whether it is still the same, and what an edit of it stands for.

/** What edits and writes say of a record. */
const EDITED = ["optimistic", "optimisticError", "write", "deleted", "serverValue", "value"] as const;

/** Records by their {@link identity}, in the order of their list. */
export type Index = ReadonlyMap<string, WireRecord>;

/** The server's versions under edits, as far as this page saw them: an edit does not carry it. */
const bases = new WeakMap<WireRecord, WireRecord>();

/** (space, uri): the same `uri` may live in two spaces. */
export function identity({ space, uri }: WireRecord): string {
  return `${space} ${uri}`;
}

/** The record that `edit` took the place of, where this page saw that. Without an edit it shows again. */
export function baseOf(edit: WireRecord): WireRecord | undefined {
  return bases.get(edit);
}

/** The object that the first of `known` has for a record of the same content, or `record` itself. */
export function reuse(record: WireRecord, ...known: readonly Index[]): WireRecord {
  let kept = record;
  for (const index of known) {
    const old = index.get(identity(record));
    if (!old) continue;
    if (kept === record) kept = same(old, record);
    else succeed(kept, old);
    if (kept !== record && !kept.optimistic) break;
  }
  return kept;
}

/** `old`, or what it took the place of, if it has the same content as `record`; else `record`, which takes its place. */
export function same(old: WireRecord | undefined, record: WireRecord): WireRecord {
  if (!old) return record;
  if (equal(old, record)) return old;
  const base = bases.get(old);
  if (base && equal(base, record)) return base;
  succeed(record, old);
  return record;
}

/** Whether two edits, or records with the same write, show the same: what else a record has, its hydration say, Rust may not know yet. */
export function isSameEdit(a: WireRecord, b: WireRecord): boolean {
  return EDITED.every((name) => equal(a[name], b[name]));
}

/** `record` stands where `old` stood. */
function succeed(record: WireRecord, old: WireRecord): void {
  const base = old.optimistic ? bases.get(old) : old;
  if (record.optimistic && base) bases.set(record, base);
}

const { hasOwnProperty: hasOwn } = Object.prototype;

/** Whether two JSON values have the same content; the order of keys does not count. */
export function equal(a: unknown, b: unknown): boolean {
  if (a === b || !(a instanceof Object && b instanceof Object)) return a === b;
  const keys = Object.keys(a);
  return (
    Array.isArray(a) === Array.isArray(b) &&
    keys.length === Object.keys(b).length &&
    keys.every((key) => hasOwn.call(b, key) && equal(a[key as never], b[key as never]))
  );
}
