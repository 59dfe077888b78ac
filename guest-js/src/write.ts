import { type Deferred, deferred } from "./deferred.js";
import { reportUncaught, WatchError } from "./error.js";
import { opaque } from "./opaque.js";
import { isGone, isTaken, readWrite, renewed } from "./pending.js";
import type { PendingWrite, Write } from "./writing.js";

let moments = 0;

/** Orders what was asked and what was answered. */
export function moment(): number {
  return (moments += 1);
}

/** Whoever has a handle in Rust under which a write can be sent again or taken back. */
export interface Actor {
  act(command: "retry_write" | "discard_write", id: number): Promise<unknown>;
}

/** What a write tells whoever keeps it. */
export interface Keeper {
  /** Somebody wants to hear of it. */
  observed(write: LiveWrite): void;
  /** It has left the queue. */
  finished(write: LiveWrite): void;
  /** What this page says of it now was not told by Rust. */
  unsure(): void;
}

/** What stands behind a {@link Write}: what Rust told of it last, and who waits for it. */
export class LiveWrite {
  /** What the app gets. */
  readonly handle: Write;
  /** Somebody heard of it, or waits: it is to be kept. */
  isObserved = false;
  /** Who acts on it: the store that was asked for it last. */
  actor: Actor;
  #now: PendingWrite;
  #done: Deferred = deferred();
  /** `#done` is settled. */
  #isSettled = false;
  /** When it was last sent again, and how often it had been sent by then. */
  #again = { at: 0, attempts: 0 };
  readonly #keeper: Keeper;
  readonly #listeners = new Set<{ call: (write: Write) => void }>();

  constructor(first: PendingWrite, actor: Actor, keeper: Keeper) {
    this.#now = first;
    this.actor = actor;
    this.#keeper = keeper;
    this.handle = handleOf(this);
    this.#settle();
  }

  get now(): PendingWrite {
    return this.#now;
  }

  get isGone(): boolean {
    return isGone(this.#now.state);
  }

  /** No sender had it yet: another write may take its place. */
  get isUntried(): boolean {
    return this.#now.state === "queued" && this.#now.attempts === 0;
  }

  get done(): Promise<void> {
    this.#observe();
    return this.#done.promise;
  }

  subscribe = (call: (write: Write) => void): (() => void) => {
    const listener = { call };
    this.#listeners.add(listener);
    this.#observe();
    this.#call(listener);
    return () => void this.#listeners.delete(listener);
  };

  retry = (): Promise<void> => {
    const again = this.#retry();
    // What comes of it shows in `state`.
    again.catch(() => {});
    return again;
  };

  discard = async (): Promise<void> => {
    if (this.#now.state === "discarded") return;
    if (this.isGone) throw new WatchError("not-written", "the write is over");
    const left = readWrite(await this.actor.act("discard_write", this.#now.id));
    // A sender has it: it is taken back if that comes to nothing.
    if (left && !isGone(left.state)) return this.#whenDecided();
    // What the server has taken is no more than let go, and it may have done so unknown to this page.
    const state = isTaken(this.#now.state) ? "confirmed" : "discarded";
    this.tell(left ?? { ...this.#now, state, error: null });
  };

  /**
   * Rust tells how far it has come. What has left the queue stays as it is.
   *
   * @param asked - the moment at which Rust was asked
   */
  tell(told: PendingWrite, asked = moment()): void {
    const { at, attempts } = this.#again;
    // It may have failed before it was sent again: who asks now will know.
    const isOld = asked < at && told.state === "failed" && told.attempts <= attempts;
    if (this.isGone || isOld) return;
    const old = this.#now;
    const next = renewed(old, told);
    if (next === old) return;
    this.#now = next;
    this.#settle();
    if (this.isGone) this.#keeper.finished(this);
    if (next.state === old.state && next.error === old.error) return;
    for (const listener of [...this.#listeners]) {
      if (this.#listeners.has(listener)) this.#call(listener);
    }
  }

  /** It is not in the queue any more, and nobody told why. */
  lose(): void {
    const message = "it left the queue while this page was not told, be it sent or taken back";
    if (isTaken(this.#now.state)) this.tell({ ...this.#now, state: "confirmed" });
    else this.tell({ ...this.#now, state: "discarded", error: { kind: "lost", message } });
  }

  async #retry(): Promise<void> {
    const before = this.#now;
    if (!this.isGone) {
      await this.actor.act("retry_write", before.id);
      const { state, attempts } = this.#now;
      // That it failed may have been told before; one more attempt that did is what came of this.
      if (state === "failed" && attempts <= before.attempts) {
        this.#again = { at: moment(), attempts: before.attempts };
        this.tell({ ...this.#now, state: "queued", error: null });
        this.#keeper.unsure();
      }
    }
    return this.done;
  }

  /** Fulfilled once it has left the queue, or the server has taken it. */
  #whenDecided(): Promise<void> {
    return new Promise((resolve) => {
      const end = this.subscribe(() => {
        if (!this.isGone && !isTaken(this.#now.state)) return;
        resolve();
        // The first call comes before there is anything to end.
        queueMicrotask(() => end());
      });
    });
  }

  #observe(): void {
    this.isObserved = true;
    if (!this.isGone) this.#keeper.observed(this);
  }

  #settle(): void {
    const { state, error } = this.#now;
    const taken = isTaken(state);
    const isOver = taken || state === "failed" || state === "discarded";
    // That the server has taken it is no news twice; whatever else goes on is awaited anew.
    if (this.#isSettled && !taken) {
      this.#done = deferred();
      this.#isSettled = false;
    }
    if (!isOver || this.#isSettled) return;
    this.#isSettled = true;
    if (taken) return this.#done.resolve();
    const { kind, message } = error ?? { kind: state, message: `the write was ${state}` };
    this.#done.reject(new WatchError(kind, message));
  }

  #call({ call }: { call: (write: Write) => void }): void {
    try {
      call(this.handle);
    } catch (reason) {
      reportUncaught(reason);
    }
  }
}

function handleOf(write: LiveWrite): Write {
  const { subscribe, retry, discard } = write;
  const { id, uri, did, collection, rkey } = write.now;
  const handle = {
    ...{ id, uri, did, collection, rkey, subscribe, retry, discard },
    /** One that was not tried yet may have been changed. */
    get action() {
      return write.now.action;
    },
    get state() {
      return write.now.state;
    },
    get error() {
      return write.now.error;
    },
    get done() {
      return write.done;
    },
  };
  return opaque(handle);
}
