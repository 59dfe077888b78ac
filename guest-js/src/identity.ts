import type { WireRecord } from "./record.js";

// Which record is which, and whether it is still the same.

/** Records by their {@link identity}, in the order of their list. */
export type Index = ReadonlyMap<string, WireRecord>;

/** (space, uri): the same `uri` may live in two spaces. */
export function identity({ space, uri }: WireRecord): string {
  return `${space} ${uri}`;
}

/** The object that the first of `known` has for a record of the same content, or `record` itself. */
export function reuse(record: WireRecord, ...known: readonly Index[]): WireRecord {
  for (const index of known) {
    const old = index.get(identity(record));
    if (old && equal(old, record)) return old;
  }
  return record;
}

/** `old` if it has the same content as `record`, else `record`. */
export function same(old: WireRecord | undefined, record: WireRecord): WireRecord {
  return old && equal(old, record) ? old : record;
}

const { hasOwnProperty: hasOwn } = Object.prototype;

/** Whether two JSON values have the same content; the order of keys does not count. */
function equal(a: unknown, b: unknown): boolean {
  if (!(a instanceof Object && b instanceof Object)) return a === b;
  const keys = Object.keys(a);
  return (
    Array.isArray(a) === Array.isArray(b) &&
    keys.length === Object.keys(b).length &&
    keys.every((key) => hasOwn.call(b, key) && equal(a[key as never], b[key as never]))
  );
}
