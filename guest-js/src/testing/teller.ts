import type { Delta } from "../bindings/Delta.js";
import type { ErrorPayload } from "../bindings/ErrorPayload.js";
import type { State } from "../bindings/State.js";
import type { Status } from "../bindings/Status.js";
import type { WireRecord } from "../record.js";
import { pack } from "./pack.js";

/** A record with its id. */
export interface Entry {
  id: number;
  record: WireRecord;
}

/** Which watch it is. */
export type Origin = Pick<State, "watch" | "inherited">;

/** Where a watch stands. */
export interface Now {
  status: Status;
  error: ErrorPayload | null;
  cursor: string | null;
  profiles: State["profiles"];
  entries: Entry[];
}

/** What one handle is told as the bridge's contract has it: revisions, states and deltas of bounded size. Pure. */
export class Teller {
  rev = 0;
  /** What the page was told, in order. */
  told: Entry[] = [];
  /** There may be more to tell. */
  changed = false;
  /** The page was told everything once. */
  #whole = false;
  /** The profiles that it was told. */
  #profiles: State["profiles"] | undefined;
  /** What it was told, with status, error and cursor, as JSON. */
  #knows = "";

  /** What there is now, or the first `chunk` records. A revision of its own only if it tells news. */
  state({ watch, inherited }: Origin, now: Now, chunk: number): State {
    if (this.hasNews(now)) this.rev += 1;
    this.told = now.entries.slice(0, chunk);
    this.#count(this.told.length < now.entries.length);
    this.#note(now);
    const { common, packed } = pack(this.told.map(({ record }) => record));
    return {
      watch,
      inherited,
      rev: this.rev,
      status: this.#status(now),
      error: now.error,
      cursor: now.cursor,
      ids: this.told.map(({ id }) => id),
      common,
      records: packed,
      profiles: now.profiles,
      more: this.changed,
    };
  }

  /** The next delta, of at most `chunk` records, towards what there is now. */
  delta(handle: number, now: Now, chunk: number): Delta {
    const { entries, error, cursor } = now;
    const news = this.#news(entries);
    const profiles = now.profiles === this.#profiles ? {} : { profiles: now.profiles };
    const removed = this.told.map(({ id }) => id).filter((id) => !entries.some((it) => it.id === id));
    const some = news.slice(0, chunk);
    const gone = new Set([...removed, ...some.map(({ id }) => id)]);
    const next = this.told.filter(({ id }) => !gone.has(id));
    for (const entry of some) {
      // Right behind what comes before it in the end, which is there already.
      const before = entries[entries.indexOf(entry) - 1];
      next.splice(before ? next.findIndex(({ id }) => id === before.id) + 1 : 0, 0, entry);
    }
    const { common, packed: records } = pack(some.map(({ record }) => record));
    this.told = next;
    this.rev += 1;
    this.#count(some.length < news.length);
    this.#note(now);
    return {
      handle,
      rev: this.rev,
      status: this.#status(now),
      error,
      cursor,
      length: next.length,
      removed,
      ids: some.map(({ id }) => id),
      indexes: some.map((it) => next.indexOf(it)),
      common,
      records,
      ...profiles,
      more: this.changed || ["connecting", "snapshot"].includes(now.status),
    };
  }

  /** Whether the page knows less than there is now. */
  hasNews(now: Now): boolean {
    return this.#knows !== heading(now.entries, now);
  }

  #count(isPart: boolean): void {
    this.changed = isPart;
    this.#whole ||= !isPart;
  }

  #note(now: Now): void {
    this.#knows = heading(this.told, now);
    this.#profiles = now.profiles;
  }

  /** What the page has not been told of, by ascending index. */
  #news(now: Entry[]): Entry[] {
    const told = new Map(this.told.map((it) => [it.id, it]));
    const kept = this.told.filter(({ id }) => now.some((it) => it.id === id));
    const keptNow = now.filter(({ id }) => told.has(id));
    const moved = new Set(keptNow.filter(({ id }, i) => kept[i]?.id !== id));
    return now.filter((it) => {
      return moved.has(it) || JSON.stringify(told.get(it.id)?.record) !== JSON.stringify(it.record);
    });
  }

  #status({ status }: Now): Status {
    return status === "live" && !this.#whole ? "snapshot" : status;
  }
}

function heading(entries: Entry[], { status, error, cursor, profiles }: Now): string {
  return JSON.stringify([entries, status, error, cursor, profiles]);
}
