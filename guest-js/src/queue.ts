import { call, listenToRust } from "./bridge.js";
import { reportUncaught, stopped, toWatchError, WatchError } from "./error.js";
import { isGone, ofRecord, readWrite, renewed } from "./pending.js";
import type { WireRecord } from "./record.js";
import type { WriteChanges } from "./wire-writes.js";
import { type Actor, type Keeper, LiveWrite, moment } from "./write.js";
import type { PendingWrite, Write } from "./writing.js";

// What this page knows of the writes that Rust has on disk: a queue for each account, followed by one long poll as long
// as anybody wants to know, and the `Write` objects that the app got.

/** The first pause after a poll that failed, in milliseconds; each next one is twice as long. */
const FIRST_PAUSE_MS = 1000;

/** The longest one. */
const MAX_PAUSE_MS = 30_000;

/** Most writes of one queue that are kept although nobody heard of them yet. */
const MAX_UNOBSERVED = 1000;

/** Writes that have left their queue and are still known: a record may show one a moment longer. */
const MAX_GONE = 100;

/** By account; those that somebody wants to know of. */
const queues = new Map<string | undefined, Queue>();

/** The last that left their queue, by id. */
const gone = new Map<number, LiveWrite>();

/** The page has ended, or sleeps in the page cache. */
let isAway = false;
let isHeeding = false;

/** Of writes that nobody in this page has made or asked for. */
const NOBODY: Actor = { act: () => Promise.reject(stopped()) };

/** When Rust was asked, and the writes that this page had an object for then. */
interface Asked {
  readonly at: number;
  readonly live: ReadonlySet<number>;
}

type Listener = (writes: readonly PendingWrite[]) => void;

/** The write that Rust has just put on disk. */
export function written(answer: unknown, account: string | undefined, actor: Actor): Write {
  const told = readWrite(answer);
  // It is on disk all the same: the list shows it, and `writeOf` gives it.
  if (!told) throw new WatchError("internal", "the write was made, and its answer cannot be read");
  const known = find(told.id);
  const write = known ?? queueOf(account).make(told, actor);
  write.actor = actor;
  // One that waits may have another form now. Of any other, more than this may have been told since.
  if (known?.isUntried) known.tell(told);
  return write.handle;
}

/** The write that `record` waits for, if it waits for one. */
export function writeOf(record: WireRecord, account: string | undefined, actor: Actor): Write | undefined {
  const id: unknown = record?.write;
  if (typeof id !== "number") return undefined;
  const write = find(id) ?? queueOf(account).makeOf(record, id, actor);
  write.actor = actor;
  return write.handle;
}

/** Calls `listener` with the writes of a queue as soon as they are known, and at each change. What it gives ends that. */
export function follow(account: string | undefined, listener: Listener): () => void {
  return queueOf(account).follow(listener);
}

function find(id: number): LiveWrite | undefined {
  for (const queue of queues.values()) {
    const write = queue.live.get(id);
    if (write) return write;
  }
  return gone.get(id);
}

function queueOf(account: string | undefined): Queue {
  const queue = queues.get(account) ?? new Queue(account);
  queues.set(account, queue);
  return queue;
}

/** Tells the queue of an account, which may have ended and begun again since. */
function keeperOf(account: string | undefined): Keeper {
  return {
    observed: (write) => queueOf(account).keep(write),
    finished(write) {
      queues.get(account)?.live.delete(write.now.id);
      bury(write);
    },
    unsure: () => queues.get(account)?.doubt(),
  };
}

/** A page that ends asks no more; one that comes back from the page cache has missed what was told. */
function heedPage(): void {
  if (isHeeding) return;
  isHeeding = true;
  addEventListener("pagehide", () => {
    isAway = true;
    for (const queue of queues.values()) queue.pause();
  });
  addEventListener("pageshow", () => {
    isAway = false;
    for (const queue of queues.values()) queue.poll();
  });
}

class Queue {
  /** The writes that are not over, and that this page has an object for, by id. */
  readonly live = new Map<number, LiveWrite>();
  readonly #account: string | undefined;
  /** What Rust told, by id, without what has left the queue; nothing as long as it told nothing. */
  #told: ReadonlyMap<number, PendingWrite> | undefined;
  /** The same in order, for listeners. */
  #list: readonly PendingWrite[] = [];
  readonly #listeners = new Set<{ call: Listener; told?: readonly PendingWrite[] }>();
  /** The revision that `#told` is of. */
  #rev = 0;
  /** Everything must be told anew. */
  #isUnsure = false;
  /** Counts the polls that were begun: an answer to an earlier one is of no more use. */
  #run = 0;
  #isPolling = false;

  constructor(account: string | undefined) {
    this.#account = account;
  }

  /** A new object for what Rust answered, or told since. */
  make(answer: PendingWrite, actor: Actor): LiveWrite {
    const write = new LiveWrite(this.#told?.get(answer.id) ?? answer, actor, keeperOf(this.#account));
    if (write.isGone) bury(write);
    else this.live.set(answer.id, write);
    if (this.live.size > MAX_UNOBSERVED) this.#letGo();
    this.poll();
    return write;
  }

  /** A new object for what a record shows, or Rust told of it. */
  makeOf(record: WireRecord, id: number, actor: Actor): LiveWrite {
    // It may be too new to have been told, or have left the queue.
    if (!this.#told?.has(id)) this.#isUnsure = true;
    return this.make(ofRecord(record, id), actor);
  }

  /** Takes one back that was let go. */
  keep(write: LiveWrite): void {
    if (this.live.get(write.now.id) === write) return;
    this.live.set(write.now.id, write);
    this.doubt();
    this.poll();
  }

  /** Has everything told anew. */
  doubt(): void {
    this.#isUnsure = true;
  }

  follow(call: Listener): () => void {
    const listener = { call };
    this.#listeners.add(listener);
    // Never at once, as where nothing is known yet.
    if (this.#told) queueMicrotask(() => this.#tell());
    this.poll();
    return () => void this.#listeners.delete(listener);
  }

  /** Asks Rust until nobody wants to know any more. */
  poll(): void {
    heedPage();
    if (this.#isPolling || isAway) return;
    this.#isPolling = true;
    void this.#poll(++this.#run);
  }

  /** An answer that comes now comes too late. */
  pause(): void {
    this.#run += 1;
    this.#isPolling = false;
    this.doubt();
  }

  /** The oldest that nobody heard of. */
  #letGo(): void {
    for (const [id, write] of this.live) {
      if (!write.isObserved) return void this.live.delete(id);
    }
  }

  get #isWanted(): boolean {
    return this.live.size + this.#listeners.size > 0;
  }

  async #poll(run: number): Promise<void> {
    let pause = 0;
    while (run === this.#run && this.#isWanted) {
      const began = performance.now();
      const after = this.#isUnsure ? 0 : this.#rev;
      const asked = { at: moment(), live: new Set(this.live.keys()) };
      this.#isUnsure = false;
      try {
        await listenToRust();
        const changes = await call<WriteChanges>("watch_writes", { account: this.#account, after });
        if (run !== this.#run) return;
        const isNews = this.#take(changes, after, asked);
        // Rust waits where it has no news: whoever answers that at once would be asked without end.
        if (isNews || performance.now() - began >= FIRST_PAUSE_MS) {
          pause = 0;
          continue;
        }
      } catch (reason) {
        if (run !== this.#run) return;
        this.doubt();
        const line = "contrail-sync: the queue of writes could not be followed, and is asked for again";
        if (pause === 0) console.warn(line, toWatchError(reason));
      }
      pause = Math.min(pause * 2 || FIRST_PAUSE_MS, MAX_PAUSE_MS);
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
    if (run !== this.#run) return;
    this.#isPolling = false;
    queues.delete(this.#account);
  }

  /**
   * Takes an answer.
   *
   * @param after - what was asked for
   * @param asked - when, and for which writes
   * @returns whether there was news in it
   */
  #take(changes: WriteChanges, after: number, asked: Asked): boolean {
    const { rev, whole, writes } = (changes ?? {}) as Partial<WriteChanges>;
    if (!Array.isArray(writes) || typeof rev !== "number" || !(rev >= after)) {
      throw new WatchError("internal", "the answer of watch_writes cannot be read");
    }
    // Asked for everything, Rust may have been too busy: that is not to say that there is nothing.
    const isWhole = whole === true;
    const next = new Map(isWhole ? [] : this.#told);
    const named = new Set<unknown>();
    for (const given of writes as unknown[]) {
      const id = (given as { id?: number } | null)?.id;
      named.add(id);
      const old = this.#told?.get(id!);
      // What cannot be read is as it was.
      const read = readWrite(given) ?? old;
      if (!read) continue;
      const told = renewed(old, read);
      if (isGone(told.state)) next.delete(told.id);
      else next.set(told.id, told);
      const write = find(told.id);
      if (write) write.tell(told, asked.at);
      else if (isGone(told.state)) bury(new LiveWrite(told, NOBODY, keeperOf(this.#account)));
    }
    for (const [id, write] of [...this.live]) {
      if (isWhole && asked.live.has(id) && !named.has(id)) write.lose();
    }
    this.#rev = rev;
    this.#show(next);
    return rev > after && (isWhole || writes.length > 0);
  }

  #show(next: ReadonlyMap<number, PendingWrite>): void {
    const list = [...next.values()].sort((a, b) => a.id - b.id);
    const isSame =
      this.#told && list.length === this.#list.length && list.every((it, i) => it === this.#list[i]);
    this.#told = next;
    if (!isSame) this.#list = list;
    this.#tell();
  }

  /** Tells whoever does not know. */
  #tell(): void {
    for (const listener of [...this.#listeners]) {
      if (listener.told === this.#list || !this.#listeners.has(listener)) continue;
      listener.told = this.#list;
      const { call } = listener;
      try {
        call(this.#list);
      } catch (reason) {
        reportUncaught(reason);
      }
    }
  }
}

function bury(write: LiveWrite): void {
  gone.set(write.now.id, write);
  for (const oldest of gone.keys()) {
    if (gone.size <= MAX_GONE) return;
    gone.delete(oldest);
  }
}
