import type { SortOptions } from "../bindings/SortOptions.js";
import type { WatchOptions } from "../bindings/WatchOptions.js";
import type { WireRecord } from "../record.js";

/** A time as Rust has it: one that is too early for microseconds is in milliseconds. */
export function micros(time: number): number {
  const whole = Math.trunc(time);
  return Math.abs(whole) < 1e14 ? whole * 1000 : whole;
}

/** Whether a watch with these options shows what the server has as `record`. */
export function matches({ where = {} }: WatchOptions, record: WireRecord): boolean {
  return Object.entries(where).every(([path, wanted]) => scalar(record, path) === wanted);
}

/** What a watch with these options shows of `records`, in its order. */
export function arrange({ sort, maxRecords }: WatchOptions, records: readonly WireRecord[]): WireRecord[] {
  return [...records].sort(order(sort)).slice(0, maxRecords);
}

function order({ by = "time_us", order = "desc" }: Partial<SortOptions> = {}): typeof newest {
  const sign = order === "asc" ? -1 : 1;
  if (by === "time_us") return (a, b) => sign * newest(a, b);
  if (by === "rkey") return (a, b) => sign * (descending(a.rkey, b.rkey) || newest(a, b));
  return (a, b) => {
    const [x, y] = [scalar(a, by), scalar(b, by)];
    const [inA, inB] = [kind(x), kind(y)];
    // What has no such field comes last, whatever the direction.
    if (inA === NONE || inB === NONE) return inA - inB || newest(a, b);
    return -sign * (inA - inB || -descending(x, y)) || newest(a, b);
  };
}

function newest(a: WireRecord, b: WireRecord): number {
  return descending(a.time_us, b.time_us) || descending(a.rkey, b.rkey) || descending(a.uri, b.uri);
}

/** Texts by code points, as Rust has them: JavaScript's own order puts an emoji before some letters. */
function descending<T>(a: T, b: T): number {
  if (typeof a === "string" && typeof b === "string") return -byCodePoints(a, b);
  return a < b ? 1 : a > b ? -1 : 0;
}

function byCodePoints(a: string, b: string): number {
  let at = 0;
  while (at < a.length && a[at] === b[at]) at += 1;
  // The first half of an emoji may be the same.
  if (/[\uDC00-\uDFFF]/.test(`${a[at] ?? ""}${b[at] ?? ""}`) && at > 0) at -= 1;
  return (a.codePointAt(at) ?? -1) - (b.codePointAt(at) ?? -1);
}

const NONE = 3;

/** Numbers come before texts before booleans. */
function kind(value: unknown): number {
  const at = ["number", "string", "boolean"].indexOf(typeof value);
  return at < 0 ? NONE : at;
}

/** The text, number, boolean or `null` that a record has at `path`. */
function scalar(record: WireRecord, path: string): unknown {
  let at: unknown = record.value;
  for (const step of path.split(".").slice(1)) {
    const isObject = typeof at === "object" && at !== null && !Array.isArray(at);
    at =
      isObject && Object.keys(at as object).includes(step)
        ? (at as Record<string, unknown>)[step]
        : undefined;
  }
  return typeof at === "object" && at !== null ? undefined : at;
}
