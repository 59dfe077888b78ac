import type { Delta } from "./bindings/Delta.js";
import type { ErrorPayload } from "./bindings/ErrorPayload.js";
import type { MintAsk } from "./bindings/MintAsk.js";
import type { State } from "./bindings/State.js";
import type { Status } from "./bindings/Status.js";
import { attach, call, detach, listenToRust, type Receiver } from "./bridge.js";
import { deferred } from "./deferred.js";
import { type Edit, MAX_EDITS, methodOf } from "./edits.js";
import { endsAccess, invalid, toWatchError, WatchError } from "./error.js";
import type { Index } from "./identity.js";
import { indexOf } from "./indexing.js";
import { leave, take } from "./left.js";
import { answerMint } from "./mint.js";
import type { WatchOptions } from "./bindings/WatchOptions.js";
import { watchKey } from "./options.js";
import { Outbox } from "./outbox.js";
import type { WireRecord } from "./record.js";
import { typeName } from "./plain.js";
import { Screen, type Shown } from "./screen.js";
import { answerSend } from "./sender.js";
import type { Profiles } from "./types.js";
import type { SendAsk } from "./wire-writes.js";

/** What a link tells its store. */
export interface LinkEvents {
  /** There is something new to show. After `closed` the link is of no more use. */
  update(update: Update): void;
  /** Something that mends itself, worth a line in the log. `watch` is the link's. */
  warn(message: string, reason: unknown, watch: number | undefined): void;
}

/** The state of a watch as of its last revision. */
export interface Update {
  readonly status: Status;
  readonly error: ErrorPayload | WatchError | null;
  /** Left out where nothing is known of it. */
  readonly cursor?: string | null;
  /** Left out where nothing is known of them. */
  readonly records?: readonly WireRecord[];
  /** Left out where nothing is known of them. */
  readonly profiles?: Profiles;
}

/** The app's functions that Rust may have called, if they are any. */
export interface Asked {
  /** Gets a ticket. */
  readonly mint: unknown;
  /** Sends a write. */
  readonly send: unknown;
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

/** Writes that may wait: for the watch to be open, or for the one before them. */
const MAX_WRITES = 1000;

/**
 * How long an edit or a write that is not answered holds up the next ones, in milliseconds. Rust makes no edit that comes
 * after those.
 */
const ANSWER_MS = 10_000;

/** How long an acknowledgement waits where no frame comes, as in a hidden page, in milliseconds. */
const NO_FRAME_MS = 1000;

/**
 * What a page says to Rust of one watch: opens it, acknowledges its deltas, asks for the state when one is missing,
 * opens it again when Rust has forgotten it, sends the edits that the {@link Outbox} names, hands over writes, answers for
 * tickets and senders, loads older records. What comes of all that on screen is the {@link Screen}'s to say.
 */
export class Link implements Receiver {
  readonly #options: WatchOptions;
  readonly #asked: Asked;
  readonly #key: string;
  readonly #outbox: Outbox;
  readonly #events: LinkEvents;
  readonly #ended = deferred();
  readonly #screen: Screen;
  #opened: Opened | undefined;
  #watch: number | undefined;
  #waiting: Delta[] = [];
  /** A state is on its way. */
  #busy = true;
  /** That state may be older than what was lost meanwhile. */
  #again = false;
  #closed = false;
  /** Of the acknowledgement that waits for a frame. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  #loading: Promise<void> | undefined;
  /** Writes that wait, or are on their way. */
  #writes = 0;
  /** Fulfilled once the next write may go. */
  #written: Promise<unknown> = Promise.resolve();
  /** Called at the next update. */
  #waiters: (() => void)[] = [];

  /**
   * @param previous - what is on screen already
   * @param edits - what was edited before
   */
  constructor(
    options: WatchOptions,
    asked: Asked,
    previous: Pick<Shown, "records" | "profiles">,
    edits: readonly Edit[],
    events: LinkEvents,
  ) {
    this.#options = options;
    this.#asked = asked;
    this.#key = watchKey(options);
    const left = take(this.#key);
    this.#outbox = new Outbox(options.url, { ...left, waiting: [...left.waiting, ...edits] });
    this.#events = events;
    this.#screen = new Screen(previous);
    void this.#open();
  }

  /** The number of the watch that was opened last, by which Rust's log calls it. */
  get watch(): number | undefined {
    return this.#watch;
  }

  /**
   * Releases the watch, and leaves what this page knows of its edits to the next link, unless access has ended. An open
   * that is still pending is undone as soon as it is answered.
   */
  close(error: WatchError): void {
    this.#closed = true;
    this.#ended.reject(error);
    this.#release();
    if (!endsAccess(error)) leave(this.#key, this.#outbox.left);
  }

  /** Makes an edit once its turn has come. @throws WatchError `invalid-options` */
  edit(edit: Edit): void {
    if (this.#outbox.isFull) throw tooMany();
    this.#outbox.add(edit);
    void this.#send();
  }

  /** Calls a command that writes, after those before it: fulfilled with the answer. Rust carries a `nonce` out once. */
  async write<T>(command: string, args: object): Promise<T> {
    if (this.#writes >= MAX_WRITES) throw new WatchError("too-many", `more than ${MAX_WRITES} writes wait`);
    this.#writes += 1;
    const turn = this.#written.then(() => this.#whenOpened());
    const answer = turn.then(() => this.callOpened<T>(command, args));
    this.#written = turn.then(() => inTime(answer)).catch(() => {});
    return answer.finally(() => (this.#writes -= 1));
  }

  /** Calls a command of the handle once it is open; and under the next one, if Rust had forgotten it. */
  async callOpened<T>(command: string, args: object): Promise<T> {
    let wasForgotten = false;
    for (;;) {
      const opened = await this.#whenOpened();
      try {
        return await call<T>(command, { handle: opened.handle, ...args });
      } catch (reason) {
        if (this.#closed) await this.#ended.promise;
        if (!isUnknownWatch(reason) || wasForgotten) throw reason;
      }
      wasForgotten = true;
      if (opened !== this.#opened) continue;
      this.resync();
      await Promise.race([this.#nextUpdate(), this.#ended.promise]);
    }
  }

  async #whenOpened(): Promise<Opened> {
    while (!this.#opened) await Promise.race([this.#nextUpdate(), this.#ended.promise]);
    return this.#opened;
  }

  /** Loads older records: fulfilled once they show. A call while one runs gets the same promise. */
  loadMore(): Promise<void> {
    this.#loading ??= Promise.race([this.#fetchMore("load_more"), this.#ended.promise]).finally(() => {
      this.#loading = undefined;
    });
    return this.#loading;
  }

  /** Fetches the list as it is now: fulfilled once it shows. Rust lets calls that come together share a request. */
  refresh(): Promise<void> {
    return Promise.race([this.#fetchMore("refresh_watch"), this.#ended.promise]);
  }

  receive(delta: Delta): void {
    if (this.#busy) {
      if (this.#waiting.push(delta) > MAX_WAITING) this.#waiting.shift();
      return;
    }
    // Rust makes the next part ready while this one is applied.
    const isInterim = this.#screen.isInterim(delta);
    if (isInterim) void this.#acknowledge(delta.rev);
    const outcome = this.#screen.apply(delta);
    if (outcome === "gap") return this.resync();
    this.#show(outcome, delta.more);
    if (!isInterim) this.#acknowledgeOnceDrawn();
  }

  resync(): void {
    if (this.#busy) this.#again = true;
    else void this.#fetch();
  }

  async mint({ handle, request }: MintAsk): Promise<void> {
    if (this.#closed) return;
    const answer = await answerMint(this.#asked.mint);
    // Stopped meanwhile: nobody wants it any more.
    if (this.#closed) return;
    call("answer_mint", { handle, request, ...answer }).catch(({ kind }: WatchError) => {
      // Without Rust's or Tauri's words: they may quote the ticket.
      this.#warn("mintTicket's answer was lost", { kind, message: "answer_mint failed" });
    });
  }

  async send({ handle, request, write }: SendAsk): Promise<void> {
    if (this.#closed || typeName(write) !== "Object") return;
    const answer = await answerSend(this.#asked.send, write);
    // Although the store may have stopped meanwhile: the write may have been sent.
    call("answer_send", { handle, request, ...answer }).catch((reason: unknown) => {
      if (!this.#closed) this.#warn("sender's answer was lost", reason);
    });
  }

  /** Makes edits one after another, as far as the watch is open. */
  async #send(): Promise<void> {
    const opened = this.#opened;
    if (!opened || opened.sending) return;
    opened.sending = true;
    for (let edit = this.#outbox.next; edit; edit = this.#outbox.next) {
      const made = this.#make(edit, opened);
      if (!(await made)) return;
    }
    opened.sending = false;
  }

  /** Makes an edit. Says whether the next one may follow: under another handle all begins again with this one. */
  async #make(edit: Edit, opened: Opened): Promise<boolean> {
    let isMade = true;
    const { inherits } = this.#outbox;
    try {
      await inTime(call("edit_watch", { handle: opened.handle, nonce: ++opened.nonce, edit, inherits }));
    } catch (reason) {
      if (opened !== this.#opened) return false;
      if (isUnknownWatch(reason) && !opened.lost) {
        // Rust took the handle back meanwhile: the next one takes the edit.
        opened.lost = true;
        opened.sending = false;
        this.resync();
        return false;
      }
      isMade = false;
      const { kind, message } = toWatchError(reason);
      this.#warn("an edit was not made", new WatchError(kind, `${methodOf(edit)}: ${message}`));
    }
    if (opened !== this.#opened) return false;
    if (this.#outbox.settle(isMade)) this.resync();
    return true;
  }

  async #open(): Promise<void> {
    this.#busy = true;
    this.#waiting = [];
    this.#screen.reopen();
    let handle = 0;
    try {
      await listenToRust();
      if (this.#closed) return;
      handle = attach(this);
      const answer = await this.#ask("open_watch", { handle, options: this.#options });
      this.#opened = { handle, nonce: 0, sending: false, lost: false };
      this.#watch = answer[0].watch;
      // Only now: a close that overtook the open would leave the watch open for ever.
      if (this.#closed) return this.#release();
      this.#outbox.opened(answer[0]);
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
    const hasRetold = this.#outbox.hasRetold;
    try {
      const answer = await this.#ask("watch_state", { handle: opened.handle });
      if (this.#closed) return;
      if (hasRetold) this.#outbox.retold();
      this.#take(answer);
    } catch (reason) {
      if (this.#closed) return;
      this.#warn("the watch was lost, and is opened again", reason);
      this.#release();
      await this.#open();
    }
  }

  /** Asks for a state, and indexes meanwhile what is on screen. */
  #ask(command: string, args: object): Promise<[State, Index]> {
    return Promise.all([call<State>(command, args), indexOf(this.#screen.records)]);
  }

  #take([state, onScreen]: [State, Index]): void {
    const shown = this.#screen.take(state, onScreen, this.#outbox.isRetelling);
    this.#busy = false;
    this.#show(shown, state.more);
    if (state.more) void this.#acknowledge();
    void this.#send();
    for (const delta of this.#waiting.splice(0)) {
      if (!this.#closed) this.receive(delta);
    }
    if (!this.#again) return;
    this.#again = false;
    this.resync();
  }

  #show(shown: Shown | undefined, more: boolean): void {
    if (!shown) return;
    if (!more) this.#outbox.heard();
    this.#events.update(shown);
    for (const tell of this.#waiters.splice(0)) tell();
  }

  /** A page that is slow to render is sent less, and nothing that comes delays the frame. */
  #acknowledgeOnceDrawn(): void {
    const acknowledge = () => void this.#acknowledge();
    this.#cancelAcknowledgement();
    const timer = setTimeout(acknowledge, NO_FRAME_MS);
    this.#timer = timer;
    requestAnimationFrame(() => {
      const isCancelled = timer !== this.#timer;
      // The frame is drawn after this.
      if (!isCancelled) setTimeout(acknowledge);
    });
  }

  #cancelAcknowledgement(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** What came meanwhile is in the answer; each call is a task of its own. */
  async #acknowledge(rev = this.#screen.rev): Promise<void> {
    this.#cancelAcknowledgement();
    const opened = this.#opened;
    if (!opened) return;
    try {
      const delta = await call<Delta | null>("ack_watch", { handle: opened.handle, rev });
      if (delta && this.#opened === opened) this.receive(delta);
    } catch {
      // Lost, or the answer was no delta.
      if (this.#opened === opened) this.resync();
    }
  }

  /** Has Rust ask the server, and waits until the answer shows. An end of the watch ends this too, see `loadMore`. */
  async #fetchMore(command: "load_more" | "refresh_watch"): Promise<void> {
    let wasForgotten = false;
    for (;;) {
      while (!this.#opened) await this.#nextUpdate();
      const opened = this.#opened;
      try {
        const rev = await call<number>(command, { handle: opened.handle });
        // Each handle counts by itself.
        if (opened === this.#opened) this.#screen.expect(rev);
      } catch (reason) {
        if (!isUnknownWatch(reason) || wasForgotten) throw reason;
        wasForgotten = true;
        this.resync();
        await this.#nextUpdate();
        continue;
      }
      while (opened === this.#opened && !this.#screen.showsExpected) await this.#nextUpdate();
      // If Rust forgot the watch meanwhile it is asked again, under the new handle.
      if (opened === this.#opened) return;
    }
  }

  #warn(message: string, reason: unknown): void {
    this.#events.warn(message, reason, this.#watch);
  }

  #nextUpdate(): Promise<void> {
    return new Promise((resolve) => void this.#waiters.push(resolve));
  }

  #release(): void {
    this.#cancelAcknowledgement();
    const opened = this.#opened;
    if (!opened) return;
    this.#opened = undefined;
    this.#outbox.lose(this.#screen.records);
    detach(opened.handle);
    call("close_watch", { handle: opened.handle }).catch((reason: unknown) => {
      this.#warn("close_watch failed", reason);
    });
  }
}

/** For whom edits and edits, while nobody hears of it. */
export function tooMany(): WatchError {
  return invalid(`more than ${MAX_EDITS} edits wait`);
}

/** An answer that does not come is a failure: a message that Tauri cannot read it does not answer. */
async function inTime<T>(answer: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    const failure = new WatchError("ipc", `Rust did not answer within ${ANSWER_MS / 1000} s`);
    timer = setTimeout(() => reject(failure), ANSWER_MS);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Rust does not know the handle: it took it back, or never had it. */
function isUnknownWatch(reason: unknown): boolean {
  return (reason as WatchError).kind === "unknown-watch";
}
