import type { SortOptions } from "../bindings/SortOptions.js";
import type { WatchOptions } from "../bindings/WatchOptions.js";
import type { WireRecord } from "../record.js";

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

function descending<T>(a: T, b: T): number {
  return a < b ? 1 : a > b ? -1 : 0;
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
    at = at instanceof Object && step in at ? (at as Record<string, unknown>)[step] : undefined;
  }
  return typeof at === "object" && at !== null ? undefined : at;
}
