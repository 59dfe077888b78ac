import type { Delta } from "./bindings/Delta.js";
import type { ErrorPayload } from "./bindings/ErrorPayload.js";
import type { State } from "./bindings/State.js";
import type { Status } from "./bindings/Status.js";
import { endsAccess } from "./error.js";
import { type Index, reuse } from "./identity.js";
import { apply, type Mirror } from "./mirror.js";
import { overlay } from "./overlay.js";
import { sameProfiles } from "./profiles.js";
import { unpack, type WireRecord } from "./record.js";
import type { Profiles } from "./types.js";

/** What a page shows of a watch. */
export interface Shown {
  readonly status: Status;
  readonly error: ErrorPayload | null;
  readonly cursor: string | null;
  readonly records: readonly WireRecord[];
  readonly profiles: Profiles;
}

/** Below every revision: no list is whole yet. */
const NEVER = -1;

/**
 * What is on screen while something else arrives: states and deltas in, what to show out. No clock, no calls.
 *
 * - An empty screen shows a list as it arrives, part by part.
 * - Records that are on screen when a state is asked for are held: they stay until the new list is whole.
 * - Records from before the watch was opened, or opened again, are held until it is live, too: until then Rust may
 *   have no more than its cache. A watch that ends before it was leaves them there, unless it ends because access has.
 * - Optimistic records show at once among those that are held, see {@link overlay}. Those that are held stay, too, where
 *   Rust has to be told of them again.
 * - The list with which a watch ends shows, with that end, once it is whole.
 * - Profiles stay as long as records are held, which may need them, and are those that Rust told of afterwards.
 * - A record that did not change keeps its object, and a list of such records its array.
 */
export class Screen {
  #records: readonly WireRecord[];
  #profiles: Profiles;
  /** What Rust has told of its list. */
  #told: Mirror = { rev: -1, ids: [], records: [] };
  #toldProfiles: Profiles = {};
  /** What stays on screen for now, without the optimistic records that came since. */
  #held: Index | undefined;
  /** What was on screen when the last state was asked for, and what is held: these objects are used again until it goes. */
  #known: readonly Index[] = [];
  /** What is held is from before the watch was opened. */
  #stale = false;
  /** Rust is being told again of the edits among what is held. */
  #retelling = false;
  /** The last revision since the last state at which the list was whole. */
  #wholeRev = NEVER;
  /** The revision with which what was asked for comes: older records, or the list as it is now. */
  #expectedRev = 0;

  /** @param shown - what is on screen already, of an earlier watch */
  constructor({ records, profiles }: Pick<Shown, "records" | "profiles">) {
    this.#records = records;
    this.#profiles = profiles;
  }

  /** The records on screen. */
  get records(): readonly WireRecord[] {
    return this.#records;
  }

  /** The last revision that was taken. */
  get rev(): number {
    return this.#told.rev;
  }

  /** The watch is being opened, for the first time or again: what is on screen is from before. */
  reopen(): void {
    this.#stale = this.#records.length > 0;
  }

  /**
   * Takes a whole state, or the first part of one.
   *
   * @param onScreen - an index of `records`
   * @param retelling - whether Rust does not know of all edits on screen yet, and will be asked again once it does
   * @returns what to show, if there is anything to show yet
   */
  take(state: State, onScreen: Index, retelling = false): Shown | undefined {
    this.#retelling = retelling;
    // What is held already stays: `records` has edits in the place of some of it.
    if (onScreen.size > 0) this.#held ??= onScreen;
    this.#known = this.#held ? [onScreen, this.#held] : [];
    const records = state.records.map((packed) => reuse(unpack(packed, state.common), ...this.#known));
    this.#told = { rev: state.rev, ids: state.ids, records };
    this.#toldProfiles = state.profiles;
    this.#wholeRev = NEVER;
    // A state has what was fetched before it, whatever its revision.
    this.#expectedRev = 0;
    return this.#show(state);
  }

  /**
   * Takes a delta. One that a state overtook, or that comes twice, has nothing to show.
   *
   * @returns what to show, if there is anything to show yet; or that there is a gap: `delta` does not follow what is
   * known, a state must be asked for
   */
  apply(delta: Delta): Shown | "gap" | undefined {
    if (!this.#isNew(delta)) return undefined;
    const told = apply(this.#told, delta, ...this.#known);
    if (!told) return "gap";
    this.#told = told;
    this.#toldProfiles = delta.profiles ?? this.#toldProfiles;
    return this.#show(delta);
  }

  /**
   * Whether `delta` is but a step towards what comes next, which nobody needs to see before: more is on its way, and
   * this neither brings the first records nor takes the last.
   */
  isInterim(delta: Delta): boolean {
    const wasEmpty = this.#told.ids.length === 0;
    const isEmpty = delta.length === 0;
    return this.#isNew(delta) && delta.more && wasEmpty === isEmpty;
  }

  /** What was asked for, older records or a fresh list, comes with revision `rev`. */
  expect(rev: number): void {
    this.#expectedRev = Math.max(rev, this.#expectedRev);
  }

  /** Whether all that was asked for is on screen: a whole list that has it, and nothing held. */
  get showsExpected(): boolean {
    return !this.#held && this.#wholeRev >= this.#expectedRev;
  }

  #isNew({ rev }: Delta): boolean {
    return rev > this.rev;
  }

  #show({ status, error, cursor, more }: State | Delta): Shown | undefined {
    const ended = status === "closed";
    // The end shows with all the records that the watch ends with.
    if (ended && more) return undefined;
    if (status === "live") this.#stale = false;
    if (ended && endsAccess(error)) this.#stale = this.#retelling = false;
    if (!more) {
      this.#wholeRev = this.rev;
      if (!this.#stale && !this.#retelling) {
        this.#held = undefined;
        this.#known = [];
      }
    }
    const { records } = this.#told;
    const told = { records, whole: this.#wholeRev !== NEVER, retelling: this.#retelling };
    const next = this.#held ? overlay(this.#held, told) : records;
    if (!isSameList(next, this.#records)) this.#records = next;
    this.#profiles = this.#shownProfiles();
    return { status, error, cursor, records: this.#records, profiles: this.#profiles };
  }

  #shownProfiles(): Profiles {
    if (this.#held) return sameProfiles(this.#profiles, { ...this.#profiles, ...this.#toldProfiles });
    // The next one that tells of none has nothing to compare.
    this.#toldProfiles = sameProfiles(this.#profiles, this.#toldProfiles);
    return this.#toldProfiles;
  }
}

/** Whether two lists have the same objects in the same order. */
export function isSameList(a: readonly WireRecord[], b: readonly WireRecord[]): boolean {
  return a.length === b.length && a.every((record, i) => record === b[i]);
}
