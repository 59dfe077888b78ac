/// <reference lib="esnext.disposable" preserve="true" />
import type { SortOptions as WireSortOptions } from "./bindings/SortOptions.js";
import type { Status } from "./bindings/Status.js";
import type { WatchOptions } from "./bindings/WatchOptions.js";
import type { WireRecord } from "./record.js";
import type { WatchError } from "./error.js";
import type { NewRecord, Sender, Write } from "./writing.js";

/** A record: its place in the network, its body in `value`, and whatever the watch's query hydrates beside it. */
export type WatchRecord<Value = Record<string, unknown>> = Readonly<
  WireRecord & {
    value: Value;
    serverValue?: Value;
    [hydrated: string]: unknown;
  }
>;

/** A record that the server does not have yet. (space, did, collection, rkey) say which one it will be. */
export interface OptimisticRecord<Value = Record<string, unknown>> {
  /** Its record key. */
  rkey: string;
  /** DID of its author. */
  did: string;
  /** Its body: what JSON can carry. */
  value: Value;
  /** NSID of its collection; by default the watch's. */
  collection?: string | undefined;
  /** When it was made, in microseconds since the Unix epoch; now by default. */
  time_us?: number | undefined;
  /** `at://<did>/<collection>/<rkey>` by default. */
  uri?: string | undefined;
  /** The space that will hold it; by default the watch's. */
  space?: string | undefined;
}

/** With what may be left out, or be undefined, which is the same. */
type Lenient<T> = {
  [Name in keyof T]: T extends Record<Name, T[Name]> ? T[Name] : T[Name] | undefined;
};

/** What a watch's records are sorted by. */
export type SortOptions = Lenient<WireSortOptions>;

/** What fields in the body must be equal to, such as `{ "value.room": "a" }`. */
export type WatchFilter = Readonly<Record<`value.${string}`, string | number | boolean | null>>;

/** What a subscriber gets: never changed in place, so it can be compared by identity. */
export interface Snapshot<Value = Record<string, unknown>> {
  /** The records in order. A new array when a record changed; unchanged records are the same objects. */
  readonly records: readonly WatchRecord<Value>[];
  /**
   * What the appview told of the accounts that its lists name, by DID, where the watch's URL asks for it with
   * `profiles=true`; else nothing. Only lists tell of accounts, streams never do. Nothing is guessed: whom the appview
   * does not know is not there.
   */
  readonly profiles: Profiles;
  /** Where the watch is in its life. */
  readonly status: Status;
  /** The last failure, or `null` once all is well again. */
  readonly error: WatchError | null;
  /** Where the list ended as far as it was loaded. `null` if there is nothing older, or nothing known yet. */
  readonly cursor: string | null;
  /** Whether {@link WatchStore.loadMore} has anything to load, as far as is known. */
  readonly hasMore: boolean;
}

/** What an appview told of an account. Which fields there are beside these two is the appview's to say. */
export interface Profile {
  /** The account. */
  readonly did: string;
  /** Its handle, where the appview knows one. */
  readonly handle?: string | null;
  /** Further profiles of the account, where the appview knows several collections of them: this is the first one by name. */
  readonly others?: readonly Profile[];
  readonly [field: string]: unknown;
}

/** Profiles by DID. A new object when one changed; unchanged profiles are the same objects. */
export interface Profiles {
  readonly [did: string]: Profile | undefined;
}

/** Takes the log lines of one store. Once its watch has a number, they call it as Rust's log does: `contrail-sync w7: …`. */
export interface Logger {
  /** What is normal. */
  log?: LogLine | undefined;
  /** What mended itself. */
  warn?: LogLine | undefined;
  /** What did not. */
  error?: LogLine | undefined;
}

/** As a method has it, so that a function will do that takes details of one type only. */
type LogLine = { line(message: string, ...details: unknown[]): void }["line"];

/**
 * What a store's option `cache` takes where a web client has an adapter: `true`, as `createSqliteCache()` gives it. A
 * cache kept by the page is known here only so that a store which is given one can say that the cache is Rust's.
 */
export type CacheAdapter =
  | true
  | {
      /** The records last written under `key`. */
      read(key: string): Promise<unknown>;
      /** Replaces the records under `key`. */
      write(key: string, records: never): Promise<unknown>;
    };

/**
 * Where tickets come from:
 *
 * - a string, used as it is on every connect;
 * - a function, called whenever Rust needs a ticket and has none that is still good. What it throws or rejects with
 *   shows as an error of kind `mint-failed`, no answer in time as `mint-timeout`; it is called again later, ever less
 *   often. With several windows on one watch, any of them may be asked;
 * - the name of a minter registered in Rust, with which no credential enters the page.
 */
export type MintTicket = string | (() => Promise<string> | string) | { readonly minter: string };

/** Options of `createWatchStore`. Those without a word here go to Rust as they are. */
export interface WatchStoreOptions<Value = Record<string, unknown>> extends Lenient<
  Omit<WatchOptions, "ticket" | "mint" | "minter" | "cache" | "sort" | "where" | "maxRecords" | "sender">
> {
  /** Where tickets come from; absent where the URL has an invite token. */
  mintTicket?: MintTicket | undefined;
  /** Who sends what {@link WatchStore.put} and {@link WatchStore.delete} write. */
  sender?: Sender<Value> | undefined;
  /**
   * Whether records that are being deleted show, with `deleted: true`, until the server has deleted them; no by default.
   * One that could not be deleted shows in any case.
   */
  showDeleted?: boolean | undefined;
  /** The order, kept by Rust; newest first (`time_us`, then `rkey`, both descending) by default. */
  sort?: SortOptions | undefined;
  /** Only records whose body agrees with all of it; those that stop doing so leave. */
  where?: WatchFilter | undefined;
  /** Keeps at most so many records, the first ones of the order. */
  maxRecords?: number | undefined;
  /**
   * Sorts this store's records in a way that `sort` cannot. It runs in the page, over all records, whenever one changes.
   */
  compareRecords?: ((a: WatchRecord<Value>, b: WatchRecord<Value>) => number) | undefined;
  /**
   * Whether the records outlive the app in its cache, so that the next start shows them before the network answers.
   * `true` or `createSqliteCache()`: yes, and an error of kind `unsupported` where the app has no cache; `false`: no;
   * left out: yes, where there is one. An adapter is refused as `unsupported`: the cache is Rust's.
   *
   * Cached records belong to the `account`: name it with every watch that is not public.
   */
  cache?: boolean | CacheAdapter | undefined;
  /**
   * Takes this store's log lines; without it warnings and errors go to the console. Exceptions of listeners are reported
   * as uncaught errors where it takes no errors.
   */
  logger?: Logger | undefined;
}

/**
 * A live list of records. Its methods are bound: they can be passed on by themselves. The store itself can be kept
 * anywhere, such as in a ref, a reactive object or another library's store.
 */
export interface WatchStore<Value = Record<string, unknown>> extends Snapshot<Value> {
  /**
   * Fulfilled when the store is first `live`. Rejected with a {@link WatchError} if it is `closed` or destroyed before; a
   * later `start()` of a closed one then makes a new promise.
   */
  readonly ready: Promise<void>;
  /**
   * Calls `listener` at once and then at each change. An exception in one listener reaches the logger (or is reported as an
   * uncaught error) and no other listener.
   *
   * @returns a function that ends the subscription
   */
  subscribe(this: void, listener: (snapshot: Snapshot<Value>) => void): () => void;
  /** Begins to follow the watch. Without effect while the store already does; a stopped store starts again. */
  start(this: void): void;
  /** Ends in `closed`, with the records kept. Wins over an open that is still pending. */
  stop(this: void): void;
  /**
   * Shows a record at once, marked `optimistic: "pending"`, in the place of the one with the same key if there is one.
   * The real record replaces it. It outlives the store's stop and a page that sleeps. Until the watch is open such calls wait, at most 1,000 of them. What fails is told to
   * the logger: values that cannot be sent as `invalid-options`.
   */
  addOptimistic(this: void, record: OptimisticRecord<Value>): void;
  /**
   * Marks a pending record `optimistic: "failed"`, with the name and the first 1,000 characters of the message of `err`
   * in `optimisticError`. Without effect if there is none. Without `did`, the newest one with this key is meant.
   */
  markFailed(this: void, rkey: string, err?: unknown, did?: string): void;
  /** Takes a pending or failed record back; what it stood for shows again. Without effect if there is none. */
  removeOptimistic(this: void, rkey: string, did?: string): void;
  /**
   * Writes a record: puts it on disk, shows it at once in all windows of the watch, and has it sent, now or once the server
   * can be reached, also after a restart of the app. It shows with `optimistic: "pending"` and its number in `write`; with
   * `optimistic: "failed"` and why in `optimisticError` where the server refused it; and in `serverValue` what the server
   * has, where that changed meanwhile. Calls are made in their order. What is given is copied at the call.
   *
   * ```ts
   * const write = await store.put({ did, value: { text: "hi" } });
   * await write.done;
   * ```
   *
   * @returns a promise that is fulfilled once it is on disk, and rejected with a {@link WatchError} where it is not, and
   * nothing shows: `invalid-options` for a value that JSON cannot carry, or of more than 1 MiB; `stopped` where the store
   * is not started, or was stopped before
   */
  put(this: void, record: NewRecord<Value>): Promise<Write>;
  /**
   * Deletes a record, as {@link put} writes one. It shows no more, unless the option `showDeleted` is on, or the server
   * refuses it. Without `did`, the newest one with this key is meant.
   */
  delete(this: void, rkey: string, did?: string): Promise<Write>;
  /** The write that a record of this store waits for: the same object at each call; `undefined` if it waits for none. */
  writeOf(this: void, record: WatchRecord<Value>): Write | undefined;
  /**
   * Loads the next page of older records. A second call while one runs gets the same promise.
   *
   * @returns a promise that is fulfilled once they show, and rejected with a {@link WatchError}: `stopped` where the store
   * is or was stopped meanwhile
   */
  loadMore(this: void): Promise<void>;
  /**
   * Fetches the list as it is now, after an own write, say, beside whatever the watch does by itself. Calls that come
   * together share a request; a watch makes one a second at most.
   *
   * @returns a promise that is fulfilled once what the server had at the time of the call shows, and rejected with a
   * {@link WatchError}: why the list could not be had, or `stopped` where the store is or was stopped meanwhile
   */
  refresh(this: void): Promise<void>;
  /** Stops for good: the listeners are let go, and `start()` has no effect any more. */
  destroy(this: void): void;
  /** The same as `destroy()`, for `using`. */
  [Symbol.dispose](this: void): void;
}
