// What the fake is to the author of an app.

import type { ErrorKind } from "../bindings/ErrorKind.js";
import type { Status } from "../bindings/Status.js";
import type { Profiles, WatchRecord } from "../types.js";
import type { WriteAction, WriteFailure, WriteState } from "../wire-writes.js";

/** An error as the plugin tells it: what a store has in `error`. */
export interface FakeError {
  /** For programs. */
  readonly kind: ErrorKind | (string & {});
  /** For people. */
  readonly message: string;
}

/** A record of the fake server. What is left out is made up, in a way that fits the list that it is in. */
export interface FakeRecord<Value = Record<string, unknown>> {
  /** Record key. */
  readonly rkey: string;
  /** Its body. */
  readonly value: Value;
  /** DID of its author: by default the `actor` of the list's URL, or `did:plc:fake`. */
  readonly did?: string | undefined;
  /** NSID of its collection: by default the name in the list's URL, such as `com.example.message`. */
  readonly collection?: string | undefined;
  /** The space that holds it: by default the `spaceUri` of the list's URL. */
  readonly space?: string | undefined;
  /** Content hash: by default another one for each version. */
  readonly cid?: string | null | undefined;
  /**
   * When the server stored it, in microseconds since the Unix epoch, which decides the order. By default a record that is
   * created or updated is newer than all others, and those of a snapshot are older one after the other.
   */
  readonly time_us?: number | undefined;
  /** What the query hydrates. */
  readonly [hydrated: string]: unknown;
}

/** Whose records are in the cache. */
export interface FakeCached {
  /** The `account` of the store that is to show them: none by default. */
  readonly account?: string | undefined;
  /** Its `cacheKey`, if it has one. */
  readonly cacheKey?: string | undefined;
}

/**
 * What the fake server has for one URL. Whatever changes here reaches all stores of that URL, as far as their `where`,
 * `sort` and `maxRecords` let it through. The promises are fulfilled once all of them show it.
 */
export interface FakeList<Value = Record<string, unknown>> {
  /** The URL, as it was asked for first. */
  readonly url: string;
  /** What the server has, newest first. */
  readonly records: readonly WatchRecord<Value>[];
  /** How many stores follow it at the moment. */
  readonly followers: number;
  /**
   * The server answers with this list: the stores are `live` with it. Until then they are `connecting`.
   *
   * @throws Error if a record is there twice
   */
  snapshot(records: readonly FakeRecord<Value>[]): Promise<void>;
  /** Somebody writes a record. */
  create(record: FakeRecord<Value>): Promise<void>;
  /**
   * Somebody edits a record: what is given takes the place of what it had, and it rises to the top.
   *
   * @throws Error if there is none with this `rkey` (and `did`)
   */
  update(record: FakeRecord<Value>): Promise<void>;
  /**
   * Somebody deletes a record. Without `did` the newest one with this key is meant.
   *
   * @throws Error if there is none
   */
  delete(rkey: string, did?: string): Promise<void>;
  /** Older records, which `loadMore()` fetches by `pageSize` (2) at a time. The stores have `hasMore` from now on. */
  older(records: readonly FakeRecord<Value>[], pageSize?: number): Promise<void>;
  /**
   * What the last run of the app has left in the cache: shown until the server answers, as long as a store of this account
   * has not started before. The promise of {@link FakeContrailSync.settled} is for waiting.
   */
  cached(records: readonly FakeRecord<Value>[], whose?: FakeCached): void;
  /** What the appview tells of accounts, by DID. */
  profiles(profiles: Profiles): Promise<void>;
  /**
   * Where the stores stand from now on, and why: `reconnecting`, say. `live` again without an error. What the server has
   * reaches them only while they are `live` or get a `snapshot`.
   */
  status(status: Exclude<Status, "idle" | "closed">, error?: FakeError): Promise<void>;
  /**
   * Ends the watch: the stores are `closed` with this error, and what they show is kept unless access was lost (`access-lost`,
   * `forbidden`, `not-found`), which takes the writes of the list along. A store that is started again is `connecting` until the next {@link snapshot}.
   */
  fail(error: FakeError): Promise<void>;
  /** Asks a store for a ticket, as a connect does: what its `mintTicket` gave. Rejected if that threw. */
  mint(): Promise<string>;
}

/** A write that an app made with `put` or `delete`, and what becomes of it. Once it is over, its methods throw. */
export interface FakeWrite<Value = Record<string, unknown>> {
  /** Its number. */
  readonly id: number;
  /** Whether it puts the record or deletes it. */
  readonly action: WriteAction;
  /** `at://<did>/<collection>/<rkey>`. */
  readonly uri: string;
  /** Record key. */
  readonly rkey: string;
  /** The body; what is deleted, for a deletion. */
  readonly value: Value;
  /** How far it has come. */
  readonly state: WriteState;
  /** A sender has it: one in Rust, as one of the page is called by itself. */
  sending(): Promise<void>;
  /** The server has taken it, and the list does not show it yet. */
  sent(): Promise<void>;
  /**
   * The server has taken it, and the list shows it.
   *
   * @throws Error while the network is gone
   */
  confirm(): Promise<void>;
  /** The server refused it; after a conflict with what it has. */
  refuse(error: WriteFailure, serverValue?: Value): Promise<void>;
  /** It did not arrive: it waits for the next attempt. */
  later(error?: WriteFailure): Promise<void>;
}

/** How a fake is set up. */
export interface FakeOptions {
  /** What relative URLs are relative to, as `baseUrl` in `tauri.conf.json`. */
  readonly baseUrl?: string | undefined;
  /** Whether the app has a cache, as is the default; `false` is `Builder::without_cache()`. */
  readonly cache?: boolean | undefined;
  /**
   * Answers what the page calls beside this plugin: the app's own commands and other plugins, by name such as `greet` or
   * `plugin:store|get`. By default such calls are rejected, as Tauri rejects what it does not know.
   */
  readonly ipc?: ((command: string, args: Record<string, unknown>) => unknown) | undefined;
}

/** A call of one of the plugin's commands, as it reached Rust. */
export interface FakeCall {
  /** Such as `open_watch`. */
  readonly command: string;
  /** What was given. */
  readonly args: Readonly<Record<string, unknown>>;
}

/** The fake Rust side of a page. */
export interface FakeContrailSync {
  /** The list of a URL, whether a store asked for it already or will: the same object at each call. */
  watch<Value = Record<string, unknown>>(url: string): FakeList<Value>;
  /** The URLs that stores have asked for, as they gave them: for finding out why a list is not the one that was meant. */
  readonly urls: readonly string[];
  /** The writes that are not over, the oldest first. */
  readonly writes: readonly FakeWrite[];
  /** What reached Rust, in order. */
  readonly calls: readonly FakeCall[];
  /** From now on calls of this command, such as `set_secret`, are rejected. What it gives ends that. */
  refuse(command: string, error: FakeError): () => void;
  /**
   * The network is gone: the stores are `reconnecting`, and writes wait. What the server has by then they show once it is back;
   * `loadMore()` and `refresh()` are rejected.
   */
  offline(): Promise<void>;
  /** It is back: the stores are `live`, and writes are sent. */
  online(): Promise<void>;
  /** Fulfilled once every store shows what there is, and every sender of the page has answered. */
  settled(): Promise<void>;
  /** Ends it: stores that are open are closed, and the page is no page of Tauri any more. */
  restore(): void;
  /** The same as `restore()`, for `using`. */
  [Symbol.dispose](): void;
}
