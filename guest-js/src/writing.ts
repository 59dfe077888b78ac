import type { WriteAction, WriteFailure, WriteState } from "./wire-writes.js";

/** A record to be written. (space, did, collection, rkey) say which one; what is there already is replaced. */
export interface NewRecord<Value = Record<string, unknown>> {
  /** DID of its author. */
  did: string;
  /** Its body: what JSON can carry, 1 MiB of it at most. */
  value: Value;
  /** Its record key; by default a new one, see `nextTid`. */
  rkey?: string | undefined;
  /** NSID of its collection; by default that of the list's records: as long as there are none it has to be given. */
  collection?: string | undefined;
  /** The space that will hold it; by default the watch's. */
  space?: string | undefined;
  /** When it was made, in microseconds since the Unix epoch; now by default. */
  time_us?: number | undefined;
}

/** A write that waits in the queue, as it was at one moment. Never changed in place. */
export interface PendingWrite {
  /** Its number, in the order in which writes were made. */
  readonly id: number;
  /** `at://<did>/<collection>/<rkey>`. */
  readonly uri: string;
  /** DID of the author. */
  readonly did: string;
  /** NSID of the collection. */
  readonly collection: string;
  /** Record key. */
  readonly rkey: string;
  /** The space that holds the record; absent for public records. */
  readonly space?: string;
  /** Whether the record is written or deleted. */
  readonly action: WriteAction;
  /** How far it has come. */
  readonly state: WriteState;
  /** Why it failed; while it is `queued`, why the last attempt did not arrive. */
  readonly error: WriteFailure | null;
  /** How often it was sent. */
  readonly attempts: number;
  /** When it was made, in milliseconds since the Unix epoch. */
  readonly queuedAt: number;
}

/**
 * A write and what becomes of it. Its members change as it goes on; the object stays the same for the same `id`. Its
 * methods are bound, and it can be kept anywhere, as a store can.
 */
export interface Write {
  /** Its number: a record that waits for it has the same in `write`. */
  readonly id: number;
  /** `at://<did>/<collection>/<rkey>`. */
  readonly uri: string;
  /** DID of the author. */
  readonly did: string;
  /** NSID of the collection. */
  readonly collection: string;
  /** Record key: the one that Rust made, where none was given. */
  readonly rkey: string;
  /** Whether the record is written or deleted. */
  readonly action: WriteAction;
  /** How far it has come. */
  readonly state: WriteState;
  /** Why it failed; while it is `queued`, why the last attempt did not arrive. */
  readonly error: WriteFailure | null;
  /**
   * Fulfilled when the server has taken the write: `sent`, `unconfirmed` or `confirmed`. Rejected with a
   * `WatchError` of the kind that {@link error} names when it fails, or of kind `discarded` when it is taken back;
   * of kind `lost` when it left the queue while this page could not hear why. Nobody has to await it. A write that is sent
   * again has a new promise.
   */
  readonly done: Promise<void>;
  /**
   * Sends one that failed again.
   *
   * @returns a promise that settles as the new `done`, or is rejected with a `WatchError`: `stopped` where the
   * store is stopped. Nobody has to await it.
   */
  retry(this: void): Promise<void>;
  /**
   * Takes it back: what the server has is shown again.
   *
   * @returns a promise that is fulfilled once it is out of the queue or the server has taken it, and rejected with a
   * `WatchError`: `stopped` where the store is stopped, `not-written` where it was over already
   */
  discard(this: void): Promise<void>;
  /**
   * Calls `listener` at once and then whenever `state` or `error` change. What it throws is reported as an uncaught error.
   *
   * @returns a function that ends the subscription
   */
  subscribe(this: void, listener: (write: Write) => void): () => void;
}

/** A write as the app's own function is to send it. */
export interface SentWrite<Value = Record<string, unknown>> {
  /** Its number. */
  readonly id: number;
  /** The same at each attempt of this write, and no other's: a server that knows it takes the write once. */
  readonly key: string;
  /** Whether the record is written or deleted. */
  readonly action: WriteAction;
  /** `at://<did>/<collection>/<rkey>`. */
  readonly uri: string;
  /** DID of the author. */
  readonly did: string;
  /** NSID of the collection. */
  readonly collection: string;
  /** Record key. */
  readonly rkey: string;
  /** The space that holds the record; absent for public records. */
  readonly space?: string;
  /** The body; absent for a deletion. */
  readonly value?: Value;
  /** The `cid` of the record that this was made over, where it is known: who writes over another one is in conflict. */
  readonly swap?: string;
  /** Which attempt this is, from 1. */
  readonly attempt: number;
}

/**
 * What became of an attempt:
 *
 * - `sent`: the server has taken it; with the new record's `cid` if it told;
 * - `refused`: it never will. The write fails with this error; `conflict` is for a record that is no longer the one of `swap`;
 * - `later`: it did not arrive, and is tried again, not before `after` seconds if that is given.
 */
export type SendOutcome =
  | { readonly sent: true; readonly cid?: string | undefined }
  | { readonly refused: WriteFailure }
  | { readonly later: true; readonly after?: number | undefined };

/**
 * Who sends a store's writes:
 *
 * - the name of a sender registered in Rust, which needs no page;
 * - a function of this page, called for each attempt. If it gives nothing the write is sent; if it throws, or rejects, it
 *   is called again later, ever less often. It is called again, too, where its answer was lost: `key` tells.
 */
export type Sender<Value = Record<string, unknown>> =
  | { readonly sender: string }
  | ((write: SentWrite<Value>) => Promise<SendOutcome | void> | SendOutcome | void);

/** Whose writes are meant. */
export interface Whose {
  /** A store's `account`; by default everybody's. */
  account?: string | undefined;
}
