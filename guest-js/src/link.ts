import type { Delta } from "./bindings/Delta.js";
import type { ErrorPayload } from "./bindings/ErrorPayload.js";
import type { MintAsk } from "./bindings/MintAsk.js";
import type { State } from "./bindings/State.js";
import type { Status } from "./bindings/Status.js";
import type { WatchOptions } from "./bindings/WatchOptions.js";
import type { WireRecord } from "./bindings/WireRecord.js";
import { openSession, type Receiver, type Session } from "./bridge.js";
import { toWatchError, WatchError } from "./error.js";
import { answerMint, type Mint } from "./mint.js";
import { apply, type Mirror, reuse } from "./mirror.js";

/** What a link tells its store. */
export interface LinkEvents {
  /** There is something new to show. */
  update(update: Update): void;
  /** The watch could not be opened: the link is closed for good. */
  failed(error: WatchError): void;
  /** Something that mends itself, worth a line in the log. */
  warn(message: string, error?: WatchError): void;
}

/** The state of a watch as of its last revision. */
export interface Update {
  readonly status: Status;
  readonly error: ErrorPayload | null;
  readonly cursor: string | null;
  readonly records: readonly WireRecord[];
}

/** Deltas kept while a state is on its way. Rust sends one at a time; more is a fault: a gap, which a resync mends. */
const MAX_WAITING = 64;

/**
 * One open watch, seen from the page: opens it, applies its deltas in order and acknowledges them, fetches the
 * whole state when one is missing, opens again when Rust has forgotten it.
 */
export class Link implements Receiver {
  readonly #options: WatchOptions;
  readonly #mint: Mint | undefined;
  readonly #events: LinkEvents;
  #mirror: Mirror = { rev: -1, ids: [], records: [] };
  /** What stays on screen until a new watch has its first whole answer. */
  #held: readonly WireRecord[] | undefined;
  #opened: { session: Session; handle: number } | undefined;
  #waiting: Delta[] = [];
  /** A state is on its way. */
  #busy = true;
  /** That state may be older than what was lost meanwhile. */
  #again = false;
  #closed = false;

  /**
   * @param mint - gets a ticket whenever Rust asks for one; goes with the option `mint`
   * @param previous - the records already on screen; they stay there until the watch is live
   */
  constructor(
    options: WatchOptions,
    mint: Mint | undefined,
    previous: readonly WireRecord[],
    events: LinkEvents,
  ) {
    this.#options = options;
    this.#mint = mint;
    this.#events = events;
    void this.#open(previous);
  }

  /** Releases the watch. An open that is still pending is undone as soon as it is answered. */
  close(): void {
    this.#closed = true;
    const opened = this.#opened;
    this.#opened = undefined;
    if (opened) this.#release(opened);
  }

  receive(delta: Delta): void {
    if (this.#busy) {
      if (this.#waiting.push(delta) > MAX_WAITING) this.#waiting.shift();
      return;
    }
    const next = apply(this.#mirror, delta);
    if (next === "broken") return this.resync();
    if (next !== "stale") {
      this.#mirror = next;
      this.#update(delta);
    }
    this.#acknowledge();
  }

  resync(): void {
    if (this.#busy) this.#again = true;
    else void this.#fetch();
  }

  async mint(ask: MintAsk, session: Session): Promise<void> {
    if (this.#closed) return;
    const answer = await answerMint(this.#mint);
    // Stopped meanwhile: nobody wants it any more.
    if (this.#closed) return;
    try {
      await session.answerMint(ask, answer);
    } catch (reason) {
      // Without Rust's or Tauri's words: they may quote the ticket.
      const { kind } = toWatchError(reason);
      const error = new WatchError(kind, "answer_mint failed: does the capability allow it?");
      this.#events.warn("Rust did not get what mintTicket answered", error);
    }
  }

  async #open(previous: readonly WireRecord[]): Promise<void> {
    this.#busy = true;
    this.#again = false;
    this.#waiting = [];
    this.#held = previous.length > 0 ? previous : undefined;
    let session: Session | undefined;
    let handle = 0;
    try {
      session = await openSession();
      if (this.#mint) await session.listenForMints();
      if (this.#closed) return;
      handle = session.attach(this);
      const state = await session.openWatch(handle, this.#options);
      // Only now: a close that overtook the open would leave the watch open for ever.
      if (this.#closed) return this.#release({ session, handle });
      this.#opened = { session, handle };
      this.#take(state);
    } catch (reason) {
      session?.detach(handle);
      if (this.#closed) return;
      this.#closed = true;
      this.#events.failed(toWatchError(reason));
    }
  }

  async #fetch(): Promise<void> {
    const opened = this.#opened;
    if (!opened) return;
    this.#busy = true;
    try {
      const state = await opened.session.watchState(opened.handle);
      if (!this.#closed) this.#take(state);
    } catch (reason) {
      if (this.#closed) return;
      this.#events.warn("the watch's state is not to be had, opening it again", toWatchError(reason));
      this.#opened = undefined;
      this.#release(opened);
      await this.#open(this.#held ?? this.#mirror.records);
    }
  }

  #take(state: State): void {
    this.#mirror = { rev: state.rev, ids: state.ids, records: reuse(state.records, this.#mirror.records) };
    this.#busy = false;
    const waiting = this.#waiting.splice(0);
    this.#update(state);
    for (const delta of waiting) {
      if (!this.#closed) this.receive(delta);
    }
    if (this.#again && !this.#closed) {
      this.#again = false;
      this.resync();
    }
  }

  #update({ status, error, cursor }: State | Delta): void {
    if (this.#held && (status === "live" || status === "closed")) {
      this.#mirror = { ...this.#mirror, records: reuse(this.#mirror.records, this.#held) };
      this.#held = undefined;
    }
    this.#events.update({ status, error, cursor, records: this.#held ?? this.#mirror.records });
  }

  /** Runs after the listeners, so that a page that is slow to render is sent less. */
  #acknowledge(): void {
    if (!this.#opened) return;
    const { session, handle } = this.#opened;
    session.ackWatch(handle, this.#mirror.rev).catch(() => this.resync());
  }

  #release({ session, handle }: { session: Session; handle: number }): void {
    session.detach(handle);
    session.closeWatch(handle).catch((reason: unknown) => {
      this.#events.warn("the watch was not closed", toWatchError(reason));
    });
  }
}
