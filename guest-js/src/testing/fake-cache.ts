import type { CacheInfo } from "../bindings/CacheInfo.js";
import type { WatchOptions } from "../bindings/WatchOptions.js";
import type { WireRecord } from "../record.js";

/** Records of a watch that are kept by default. */
const MAX_RECORDS = 200;

/** What the cache has of one query. */
interface Kept {
  readonly account: string | undefined;
  readonly records: readonly WireRecord[];
  /** When it was saved, in milliseconds since the Unix epoch. */
  readonly at: number;
}

/** The records that outlive the app, by the names of their queries. */
export class FakeCache {
  /** Whether the app has one. */
  readonly isOn: boolean;
  readonly #kept = new Map<string, Kept>();

  constructor(isOn: boolean) {
    this.isOn = isOn;
  }

  /** Keeps what a watch of an account shows, in the place of what was there. */
  keep(
    key: string,
    account: string | undefined,
    records: readonly WireRecord[],
    { cache, cacheMaxRecords = MAX_RECORDS }: Partial<WatchOptions> = {},
  ): void {
    if (!this.isOn || cache === false) return;
    this.#kept.set(key, { account, records: records.slice(0, cacheMaxRecords), at: Date.now() });
  }

  /** What there is for a watch. What is another account's is erased. */
  read(key: string, { account, cache }: WatchOptions): readonly WireRecord[] {
    const kept = this.#kept.get(key);
    if (!kept || cache === false) return [];
    if (kept.account === account) return kept.records;
    this.#kept.delete(key);
    return [];
  }

  /** Erases what is of this key, of this account, of both at once, or all. */
  clear(key?: string, account?: string): void {
    for (const [name, kept] of this.#kept) {
      const isMeant =
        (key === undefined || name === key) && (account === undefined || kept.account === account);
      if (isMeant) this.#kept.delete(name);
    }
  }

  get info(): CacheInfo | null {
    if (!this.isOn) return null;
    const kept = [...this.#kept.values()];
    const records = kept.flatMap((it) => it.records);
    const times = kept.map(({ at }) => at);
    const isEmpty = times.length === 0;
    return {
      rows: records.length,
      bytes: JSON.stringify(records).length,
      watches: kept.length,
      oldestSync: isEmpty ? null : Math.min(...times),
      newestSync: isEmpty ? null : Math.max(...times),
      memoryOnly: false,
    };
  }
}
