import type { State } from "./bindings/State.js";
import { condense, type Edit, MAX_EDITS } from "./edits.js";
import type { WireRecord } from "./record.js";

/** The number of no watch. */
const NO_WATCH = 0;

/** What a page knows of a watch's edits when it lets the watch go. */
export interface Left {
  /** The number of the watch that these are about, if there was one. */
  readonly watch?: number | undefined;
  /** The edits that were made, by whomever, and that nobody confirmed or took back: Rust may forget them. */
  readonly known: readonly Edit[];
  /** Those of them that this watch was still to be told again. */
  readonly unsaid?: readonly Edit[];
  /** The edits that were not made yet. */
  readonly waiting: readonly Edit[];
}

/**
 * What a page has to tell Rust of one watch's edits. Rust has them as long as it has the watch: seconds after nobody
 * follows it, they are gone there, but not on this page. Pure.
 *
 * A watch that Rust begins anew, which its number says, is told again what this page knows. One that goes on knows better,
 * and so does one that another page told: what it has no more was confirmed, or taken back there. Making an edit twice
 * does no harm.
 */
export class Outbox {
  /** In order; the first may be on its way. */
  readonly #waiting: Edit[];
  /** The number of the watch that is open, or was last. */
  #watch: number | undefined;
  /** The number of the watch whose edits are told again. */
  #of: number | undefined;
  /** What Rust may have to be told again, until it is known what it has. */
  #known: readonly Edit[];
  /** What of it the last watch was still to be told. */
  #unsaid: readonly Edit[];
  /** What Rust is told again, before all else, … */
  #again: readonly Edit[] = [];
  /** … and how much of it was said. */
  #said = 0;
  /** Edits that were made since the list before the last was told, and since the last: one may have been under way. */
  #recent: readonly [Edit[], Edit[]] = [[], []];
  /** The collection that Rust would guess. */
  readonly #guess: string | undefined;

  /** @param url - the watch's */
  constructor(url: string, { watch, known, unsaid = [], waiting }: Left) {
    this.#watch = watch;
    this.#guess = /([^/?#]+)\.(?:watch|list)Records(?:[?#]|$)/.exec(url)?.[1];
    this.#known = known;
    this.#unsaid = unsaid;
    this.#waiting = [...waiting];
  }

  /** Whether there is room for one more edit. */
  get isFull(): boolean {
    return this.#waiting.length >= MAX_EDITS;
  }

  /** The edit to make next. */
  get next(): Edit | undefined {
    return this.#again[this.#said] ?? this.#waiting[0];
  }

  /** The watch whose edits Rust has all been told with `next`, which no other page need tell it then. */
  get inherits(): number | undefined {
    return this.#said === this.#again.length - 1 ? this.#of : undefined;
  }

  /** Rust is being told again of edits, and may not show all of them yet. */
  get isRetelling(): boolean {
    return this.#again.length > 0;
  }

  /** Rust was told all of them: what it tells from now on has them. */
  get hasRetold(): boolean {
    return this.isRetelling && this.#said === this.#again.length;
  }

  add(edit: Edit): void {
    this.#waiting.push(edit);
  }

  /**
   * `next` was made, or refused, which says that trying again is of no use.
   *
   * @returns whether it was the last of which Rust is told again
   */
  settle(isMade: boolean): boolean {
    if (this.#said < this.#again.length) {
      this.#said += 1;
      return this.hasRetold;
    }
    const edit = this.#waiting.shift();
    const [, recent] = this.#recent;
    if (edit && isMade && recent.push(edit) > MAX_EDITS) recent.shift();
    return false;
  }

  /** Rust told a whole list. */
  heard(): void {
    this.#recent = [this.#recent[1], []];
  }

  /** Rust told a whole list after it had been told all edits again. */
  retold(): void {
    this.#again = [];
    this.#said = 0;
  }

  /** The handle is lost, or given back. `records` are on screen. */
  lose(records: readonly WireRecord[]): void {
    const seen = this.#editsOf(records);
    this.#known = condense([...this.#known, ...seen, ...this.#again, ...this.#recent.flat()]);
    this.#recent = [[], []];
    if (this.isRetelling) this.#unsaid = this.#again.slice(this.#said);
    this.retold();
  }

  /** A handle is open, and this is what Rust has. */
  opened(state: State): void {
    const { watch, inherited, records, common } = state;
    // Where Rust refuses to begin one, there is nobody to tell.
    if (watch === NO_WATCH) return;
    if (watch !== this.#watch) this.#of = this.#watch;
    this.#again = this.#toTell(watch, inherited);
    this.#watch = watch;
    this.#known = [];
    this.#unsaid = [];
    if (!this.isRetelling) return;
    const has = new Set<string>();
    for (const { optimistic, rkey, did = common.did } of records) {
      if (optimistic) has.add(`${did} ${rkey}`);
    }
    this.#again = this.#again.filter((edit) => {
      const { did, rkey } = edit.op === "add" ? edit.record : edit;
      return !has.has(`${did} ${rkey}`);
    });
  }

  /** What this watch is to be told again. */
  #toTell(watch: number, inherited: readonly number[]): readonly Edit[] {
    if (watch === this.#watch) return this.#unsaid;
    const isTold = this.#watch !== undefined && inherited.includes(this.#watch);
    return isTold ? [] : this.#known;
  }

  /** What is to be kept for the next one who opens the watch. */
  get left(): Left {
    return { watch: this.#watch, known: this.#known, unsaid: this.#unsaid, waiting: this.#waiting };
  }

  /** What makes the edits among `records`, the oldest first: without a did the newest of a key is meant. */
  #editsOf(records: readonly WireRecord[]): Edit[] {
    // Writes are on Rust's disk.
    const edited = records.filter(({ optimistic, write }) => optimistic && write === undefined);
    if (edited.length === 0) return [];
    const named = new Set(records.map(({ optimistic, collection }) => (optimistic ? undefined : collection)));
    edited.reverse().sort((a, b) => a.time_us - b.time_us);
    return edited.flatMap(({ rkey, did, collection, space, value, time_us, optimisticError }) => {
      // What Rust may have guessed it has to guess again, or the record would not be known by its real name.
      const isKnown = named.has(collection) || collection !== this.#guess;
      const record = { rkey, did, value, time_us, space, collection: isKnown ? collection : undefined };
      const add: Edit = { op: "add", record };
      return optimisticError ? [add, { op: "fail", rkey, did, error: optimisticError }] : [add];
    });
  }
}
