import type { ErrorPayload } from "./bindings/ErrorPayload.js";
import type { WireRecord } from "./record.js";
import { withoutDeleted } from "./deleted.js";
import { countAlike, ofMany } from "./alike.js";
import { checkTauri } from "./bridge.js";
import { addition, type Edit, failing, MAX_EDITS, removal } from "./edits.js";
import { destroyed, reportUncaught, stopped, toWatchError, type WatchError } from "./error.js";
import { type Core, handleOf } from "./handle.js";
import { Link, type LinkEvents, tooMany, type Update } from "./link.js";
import { wireOptions, watchKey } from "./options.js";
import { typeName } from "./plain.js";
import { deletion, newWrite } from "./put.js";
import { writeOf, written } from "./queue.js";
import { isSameList } from "./screen.js";
import { uuid } from "./uuid.js";
import type { Actor } from "./write.js";
import type { NewRecord, Write } from "./writing.js";
import { deferred } from "./deferred.js";
import type { WatchOptions } from "./bindings/WatchOptions.js";
import type {
  Logger,
  OptimisticRecord,
  Snapshot,
  WatchRecord,
  WatchStore,
  WatchStoreOptions,
} from "./types.js";

/**
 * Makes a store that mirrors one watch. Nothing happens before `start()`.
 *
 * ```ts
 * const store = createWatchStore<{ text: string }>({
 *   url: "/xrpc/com.example.message.watchRecords?spaceUri=ats://…",
 * });
 * store.subscribe(({ records, status }) => render(records, status));
 * store.start();
 * ```
 *
 * Failures never throw: they end up in the store's `status` and `error`.
 *
 * @typeParam Value - the shape of the records' `value`; it is trusted, not checked
 */
export function createWatchStore<Value = Record<string, unknown>>(
  options: WatchStoreOptions<Value>,
): WatchStore<Value> {
  return handleOf(new Store(options));
}

/** What a store shows at first. */
const NOTHING: Snapshot<never> = {
  records: [],
  profiles: {},
  status: "idle",
  error: null,
  cursor: null,
  hasMore: false,
};
const NAMES = Object.keys(NOTHING) as (keyof Snapshot)[];

type Listener<Value> = (snapshot: Snapshot<Value>) => void;

class Store<Value> implements Core<Value>, LinkEvents, Actor {
  readonly #options: WatchStoreOptions<Value>;
  readonly #listeners = new Set<{ call: Listener<Value> }>();
  #ready = deferred();
  #wasLive = false;
  /** Why there is no link. */
  #why = stopped();
  /** Edits from before the start. */
  readonly #edits: Edit[] = [];
  #snapshot: Snapshot<Value> = NOTHING;
  /** The records in Rust's order, … */
  #source: readonly WireRecord[] = [];
  /** … and those of them that are shown, from which `#snapshot.records` was made. */
  #listed: readonly WireRecord[] = [];
  #link: Link | undefined;
  /** Ends the count of this store among those that are alike. */
  #uncount = () => {};
  #destroyed = false;
  /** The listeners are being told. */
  #telling = false;
  #warnedOfOrder = false;

  constructor(options: WatchStoreOptions<Value>) {
    // What is no object is refused at the start, as any wrong option.
    this.#options = typeName(options) === "Object" ? { ...options } : Object(options);
  }

  get snapshot(): Snapshot<Value> {
    return this.#snapshot;
  }

  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  subscribe = (call: Listener<Value>): (() => void) => {
    const listener = { call };
    this.#listeners.add(listener);
    this.#call(listener, this.#snapshot);
    return () => void this.#listeners.delete(listener);
  };

  start = (): void => {
    if (this.#link) return;
    if (this.#destroyed) return this.warn("start() was in vain", destroyed());
    // A promise that was rejected is of no more use.
    if (this.#snapshot.status === "closed" && !this.#wasLive) this.#ready = deferred();
    try {
      checkTauri();
      const options = this.#options as WatchStoreOptions<never>;
      const wire = wireOptions(options);
      this.#uncount = countAlike(watchKey(wire), (count) => this.#log("warn", ofMany(count, this.#name)));
      this.#warnOfOrder(wire);
      const shown = { records: this.#source, profiles: this.#snapshot.profiles };
      const asked = { mint: options.mintTicket, send: options.sender };
      this.#link = new Link(wire, asked, shown, this.#edits.splice(0), this);
      this.#show({ status: "connecting", error: null });
    } catch (reason) {
      this.update({ status: "closed", error: toWatchError(reason) });
    }
  };

  stop = (): void => {
    if (!this.#link) return;
    this.#end(stopped());
    this.#show({ status: "closed" });
  };

  destroy = (): void => {
    this.stop();
    this.#destroyed = true;
    this.#ready.reject(destroyed());
    this.#listeners.clear();
  };

  addOptimistic = (record: OptimisticRecord<Value>): void => this.#edit(() => addition(record));

  markFailed = (rkey: string, error?: unknown, did?: string): void =>
    this.#edit(() => failing(rkey, did, error));

  removeOptimistic = (rkey: string, did?: string): void => this.#edit(() => removal(rkey, did));

  put = (record: NewRecord<Value>): Promise<Write> => this.#write("put_record", () => newWrite(record));

  delete = (rkey: string, did?: string): Promise<Write> =>
    this.#write("delete_record", () => deletion(rkey, did));

  writeOf = (record: WatchRecord<Value>): Write | undefined => writeOf(record, this.#account, this);

  act(command: string, id: number): Promise<unknown> {
    return this.#link?.callOpened(command, { id }) ?? this.#isClosed();
  }

  loadMore = (): Promise<void> => this.#link?.loadMore() ?? this.#isClosed();

  refresh = (): Promise<void> => this.#link?.refresh() ?? this.#isClosed();

  update(update: Update): void {
    const old = this.#snapshot;
    const { status, cursor = old.cursor, profiles = old.profiles } = update;
    const records = this.#ordered(update.records ?? this.#source);
    const hasMore = cursor !== null && this.#source.length < (this.#options.maxRecords ?? Infinity);
    const next = { records, profiles, status, error: this.#sameError(update.error), cursor, hasMore };
    const changed = NAMES.some((name) => next[name] !== old[name]);
    // Rust is done with this watch; start() makes a new one.
    if (status === "closed") {
      if (next.error)
        this.#log("error", `the store of ${this.#name} is closed`, this.#link?.watch, next.error);
      this.#end(next.error ?? stopped());
    }
    if (changed) this.#show(next);
    if (status !== "live") return;
    this.#wasLive = true;
    this.#ready.resolve();
  }

  warn(message: string, reason: unknown, watch = this.#link?.watch): void {
    this.#log("warn", message, watch, toWatchError(reason));
  }

  /** Lets the link go, before the listeners are told. */
  #end(why: WatchError): void {
    this.#why = why;
    this.#link?.close(why);
    this.#link = undefined;
    this.#uncount();
    this.#ready.reject(why);
  }

  #edit(edit: () => Edit): void {
    try {
      if (this.#destroyed) throw destroyed();
      if (this.#edits.length >= MAX_EDITS) throw tooMany();
      if (this.#link) this.#link.edit(edit());
      else this.#edits.push(edit());
    } catch (reason) {
      this.warn("an edit was not made", reason);
    }
  }

  async #write(command: string, read: () => object): Promise<Write> {
    if (!this.#link) return this.#isClosed();
    const answer = await this.#link.write(command, { nonce: uuid(), ...read() });
    return written(answer, this.#account, this);
  }

  get #account(): string | undefined {
    const { account } = this.#options;
    return typeof account === "string" ? account : undefined;
  }

  /** An error that did not change keeps its object. */
  #sameError(payload: ErrorPayload | WatchError | null): WatchError | null {
    const { error } = this.#snapshot;
    if (!payload) return null;
    return error?.kind === payload.kind && error.message === payload.message ? error : toWatchError(payload);
  }

  #ordered(source: readonly WireRecord[]): readonly WatchRecord<Value>[] {
    if (source === this.#source) return this.#snapshot.records;
    const listed = this.#options.showDeleted ? source : withoutDeleted(source);
    // Where nothing is left out, another list shows something else.
    const isFiltered = listed !== source || this.#listed !== this.#source;
    this.#source = source;
    if (isFiltered && isSameList(listed, this.#listed)) return this.#snapshot.records;
    this.#listed = listed;
    const records = listed as readonly WatchRecord<Value>[];
    const { compareRecords } = this.#options;
    if (!compareRecords) return records;
    try {
      return [...records].sort(compareRecords);
    } catch (reason) {
      this.#threw("compareRecords", reason);
      return records;
    }
  }

  #show(change: Partial<Snapshot<Value>>): void {
    this.#snapshot = { ...this.#snapshot, ...change };
    // From within a listener: every listener hears of this change after the one under way.
    if (this.#telling) return;
    this.#telling = true;
    let told: Snapshot<Value> | undefined;
    while (told !== this.#snapshot) {
      told = this.#snapshot;
      for (const listener of [...this.#listeners]) {
        if (this.#listeners.has(listener)) this.#call(listener, told);
      }
    }
    this.#telling = false;
  }

  #call({ call }: { call: Listener<Value> }, snapshot: Snapshot<Value>): void {
    try {
      call(snapshot);
    } catch (reason) {
      this.#threw("a listener", reason);
    }
  }

  #isClosed(): Promise<never> {
    return Promise.reject(this.#destroyed ? destroyed() : this.#why);
  }

  /** The list is in the order of `sort`, whatever the URL says. */
  #warnOfOrder({ url, sort }: WatchOptions): void {
    const name = sort ? undefined : /[?&](sort|order)=/.exec(url)?.[1];
    if (!name || this.#warnedOfOrder) return;
    this.#warnedOfOrder = true;
    const message = `the URL of ${this.#name} has ${name}, which only says what the server sends; the list is in the order of time: give the option sort`;
    this.#log("warn", message);
  }

  /** The URL without its query, which may say whose data it is. */
  get #name(): string {
    const { url } = this.#options as { url?: unknown };
    return typeof url === "string" ? url.replace(/[?#].*/s, "") : "no URL";
  }

  /** What an app's own code threw is not swallowed, whatever the logger takes. */
  #threw(what: string, reason: unknown): void {
    if (this.#options.logger?.error) this.#log("error", `${what} threw`, this.#link?.watch, reason);
    else reportUncaught(reason);
  }

  /** A line that names the watch, once it is known, as Rust's log does. */
  #log(level: "warn" | "error", message: string, watch?: number, ...detail: unknown[]): void {
    const line = `contrail-sync${watch ? ` w${watch}` : ""}: ${message}`;
    const logger: Logger = this.#options.logger ?? console;
    try {
      logger[level]?.(line, ...detail);
    } catch {
      console[level](line, ...detail);
    }
  }
}
