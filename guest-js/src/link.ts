import type { Delta } from "./bindings/Delta.js";
import type { ErrorPayload } from "./bindings/ErrorPayload.js";
import type { MintAsk } from "./bindings/MintAsk.js";
import type { State } from "./bindings/State.js";
import type { Status } from "./bindings/Status.js";
import type { WatchOptions } from "./bindings/WatchOptions.js";
import { unpack, type WireRecord } from "./record.js";
import { attach, call, detach, listenToRust, type Receiver } from "./bridge.js";
import { deferred } from "./deferred.js";
import type { Edit } from "./edits.js";
import { toWatchError, type WatchError } from "./error.js";
import { answerMint } from "./mint.js";
import { type Index, reuse } from "./identity.js";
import { indexOf } from "./indexing.js";
import { apply, type Mirror, overlay } from "./mirror.js";

/** What a link tells its store. */
export interface LinkEvents {
  /** There is something new to show. After `closed` the link is of no more use. */
  update(update: Update): void;
  /** Something that mends itself, worth a line in the log. */
  warn(message: string, reason: unknown): void;
}

/** The state of a watch as of its last revision. */
export interface Update {
  readonly status: Status;
  readonly error: ErrorPayload | WatchError | null;
  /** Left out where nothing is known of it. */
  readonly cursor?: string | null;
  /** Left out where nothing is known of them. */
  readonly records?: readonly WireRecord[];
}

/** A handle that is open in Rust. */
interface Opened {
  readonly handle: number;
  /** Edits that were sent. */
  nonce: number;
  /** An edit is on its way. */
  sending: boolean;
  /** An edit found that Rust does not know the handle. */
  lost: boolean;
}

/** Deltas kept while a state is on its way. Rust sends one at a time; more is a fault: a gap, which a resync mends. */
const MAX_WAITING = 64;

/** How long an acknowledgement waits where no frame comes, as in a hidden page, in milliseconds. */
const NO_FRAME_MS = 1000;

/**
 * One open watch, seen from the page: opens it, applies its deltas in order and acknowledges them, fetches the
 * state when one is missing, opens again when Rust has forgotten it.
 */
export class Link implements Receiver {
  readonly #options: WatchOptions;
  readonly #mint: unknown;
  readonly #edits: Edit[];
  readonly #events: LinkEvents;
  readonly #ended = deferred();
  #mirror: Mirror = { rev: -1, ids: [], records: [] };
  /** The records on screen. */
  #shown: readonly WireRecord[];
  /** Those that stay there until what comes is whole. */
  #held: Index | undefined;
  /** Those that were there when the last state was asked for: until then what did not change keeps its object. */
  #known: Index | undefined;
  /** What is held comes from this watch. Else it stays until this one is live. */
  #own = false;
  /** The last revision with which there was no more to come. */
  #whole = -1;
  /** The revision with which the records come that `load_more` loaded. */
  #due = 0;
  #opened: Opened | undefined;
  #waiting: Delta[] = [];
  /** A state is on its way. */
  #busy = true;
  /** That state may be older than what was lost meanwhile. */
  #again = false;
  #closed = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #loading: Promise<void> | undefined;
  /** Called at the next update. */
  #updated = () => {};

  /**
   * @param mint - the app's function that gets a ticket, if it is one; asked whenever Rust asks
   * @param previous - the records already on screen; they stay there until the watch is live
   * @param edits - the store's edits that are not sent yet
   */
  constructor(
    options: WatchOptions,
    mint: unknown,
    previous: readonly WireRecord[],
    edits: Edit[],
    events: LinkEvents,
  ) {
    this.#options = options;
    this.#mint = mint;
    this.#edits = edits;
    this.#events = events;
    this.#shown = previous;
    void this.#open();
  }

  /** Releases the watch. An open that is still pending is undone as soon as it is answered. */
  close(error: WatchError): void {
    this.#closed = true;
    this.#ended.reject(error);
    this.#release();
  }

  /** Loads older records: fulfilled once they show. A call while one runs gets the same promise. */
  loadMore(): Promise<void> {
    this.#loading ??= Promise.race([this.#load(), this.#ended.promise]).finally(() => {
      this.#loading = undefined;
    });
    return this.#loading;
  }

  /** Sends the store's edits one after another, as far as the watch is open. */
  async send(): Promise<void> {
    const opened = this.#opened;
    if (!opened || opened.sending) return;
    opened.sending = true;
    for (let edit; opened === this.#opened && (edit = this.#edits.shift());) {
      try {
        await call("edit_watch", { handle: opened.handle, nonce: ++opened.nonce, edit });
      } catch (reason) {
        if (opened.lost || (reason as WatchError).kind !== "unknown-watch") {
          this.#events.warn("an edit was not made", reason);
        } else {
          // Rust took the handle back meanwhile: the next one takes the edit.
          opened.lost = true;
          this.#edits.unshift(edit);
          this.resync();
          break;
        }
      }
    }
    opened.sending = false;
  }

  receive(delta: Delta): void {
    if (this.#busy) {
      if (this.#waiting.push(delta) > MAX_WAITING) this.#waiting.shift();
      return;
    }
    // Not one that a state overtook, or that comes twice.
    if (delta.rev > this.#mirror.rev) {
      // Rust makes the next part ready while this one is applied; but the first records are shown before.
      const ahead = delta.more && !delta.length === !this.#mirror.ids.length;
      if (ahead) this.#acknowledge(delta.rev);
      const next = apply(this.#mirror, delta, this.#known);
      if (!next) return this.resync();
      this.#mirror = next;
      this.#update(delta);
      if (ahead) return;
    }
    // Once the next frame is drawn: a page that is slow to render is sent less, and nothing that comes delays it.
    const acknowledge = () => this.#acknowledge();
    this.#cancel();
    const timer = (this.#timer = setTimeout(acknowledge, NO_FRAME_MS));
    requestAnimationFrame(() => timer === this.#timer && setTimeout(acknowledge));
  }

  resync(): void {
    if (this.#busy) this.#again = true;
    else void this.#fetch();
  }

  async mint({ handle, request }: MintAsk): Promise<void> {
    if (this.#closed) return;
    const answer = await answerMint(this.#mint);
    // Stopped meanwhile: nobody wants it any more.
    if (this.#closed) return;
    call("answer_mint", { handle, request, ...answer }).catch(({ kind }: WatchError) => {
      // Without Rust's or Tauri's words: they may quote the ticket.
      this.#events.warn("mintTicket's answer was lost", { kind, message: "answer_mint failed" });
    });
  }

  async #open(): Promise<void> {
    this.#busy = true;
    this.#waiting = [];
    this.#own = !this.#shown.length;
    let handle = 0;
    try {
      await listenToRust();
      if (this.#closed) return;
      handle = attach(this);
      const answer = await this.#ask("open_watch", { handle, options: this.#options });
      this.#opened = { handle, nonce: 0, sending: false, lost: false };
      // Only now: a close that overtook the open would leave the watch open for ever.
      if (this.#closed) return this.#release();
      this.#take(answer);
    } catch (reason) {
      detach(handle);
      if (!this.#closed) this.#events.update({ status: "closed", error: toWatchError(reason) });
    }
  }

  async #fetch(): Promise<void> {
    const opened = this.#opened;
    if (!opened) return;
    this.#busy = true;
    try {
      const answer = await this.#ask("watch_state", { handle: opened.handle });
      if (!this.#closed) this.#take(answer);
    } catch (reason) {
      if (this.#closed) return;
      this.#events.warn("watch_state failed", reason);
      this.#release();
      await this.#open();
    }
  }

  /** Asks for a state, and indexes meanwhile what stays on screen. */
  #ask(command: string, args: object): Promise<[State, Index]> {
    return Promise.all([call<State>(command, args), indexOf(this.#shown)]);
  }

  #take([state, known]: [State, Index]): void {
    this.#known = known;
    if (known.size) this.#held ??= known;
    this.#mirror = {
      ...state,
      records: state.records.map((record) => reuse(unpack(record, state.common), known)),
    };
    // It has what was loaded before it, whatever its revision.
    this.#due = 0;
    this.#whole = -1;
    this.#busy = false;
    this.#update(state);
    if (state.more) this.#acknowledge();
    void this.send();
    for (const delta of this.#waiting.splice(0)) {
      if (!this.#closed) this.receive(delta);
    }
    if (!this.#again) return;
    this.#again = false;
    this.resync();
  }

  #update({ status, error, cursor, more }: State | Delta): void {
    const ended = status === "closed";
    // The records that it ends with are not all here.
    if (ended && more) return;
    this.#own ||= ended || status === "live";
    const { records, rev } = this.#mirror;
    if (!more) {
      this.#whole = rev;
      if (this.#own) this.#held = this.#known = undefined;
    }
    const shown = this.#held ? overlay(this.#held, records, this.#whole >= 0) : records;
    const old = this.#shown;
    if (shown.length !== old.length || shown.some((it, i) => it !== old[i])) this.#shown = shown;
    this.#events.update({ status, error, cursor, records: this.#shown });
    this.#updated();
  }

  /** What came meanwhile is in the answer; each call is a task of its own. */
  #acknowledge(rev = this.#mirror.rev): void {
    this.#cancel();
    const opened = this.#opened;
    if (!opened) return;
    call<Delta | null>("ack_watch", { handle: opened.handle, rev })
      .then((delta) => delta && this.#opened === opened && this.receive(delta))
      .catch(() => this.#opened === opened && this.resync());
  }

  #cancel(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  async #load(): Promise<void> {
    const updated = () => new Promise<void>((resolve) => (this.#updated = resolve));
    // Again when Rust forgot the watch meanwhile; an end of the watch ends this too, see `loadMore`.
    for (let opened, lost; ;) {
      try {
        while (!(opened = this.#opened)) await updated();
        this.#due = await call<number>("load_more", { handle: opened.handle });
        while (opened === this.#opened && (this.#held || this.#whole < this.#due)) await updated();
        if (opened === this.#opened) return;
      } catch (reason) {
        if (lost || (reason as WatchError).kind !== "unknown-watch") throw reason;
        lost = true;
        this.resync();
        await updated();
      }
    }
  }

  #release(): void {
    this.#cancel();
    const opened = this.#opened;
    if (!opened) return;
    this.#opened = undefined;
    detach(opened.handle);
    call("close_watch", { handle: opened.handle }).catch((reason) =>
      this.#events.warn("close_watch failed", reason),
    );
  }
}
