// What the plugin and this page say to each other of writes.

/** What a write does to its record. */
export type WriteAction = "put" | "delete";

/**
 * How far a write has come:
 *
 * - `queued`: on disk, waits for its turn, or for the next attempt;
 * - `sending`: on its way to the server;
 * - `sent`: the server has taken it, and the list has not shown it yet;
 * - `unconfirmed`: the server has taken it, and the list has not shown it for long;
 * - `confirmed`: the list shows it; it has left the queue;
 * - `failed`: refused. It stays in the queue until it is sent again or taken back;
 * - `discarded`: taken back; it has left the queue.
 */
export type WriteState = "queued" | "sending" | "sent" | "unconfirmed" | "confirmed" | "failed" | "discarded";

/** Why a write failed, was taken back, or did not arrive yet. */
export interface WriteFailure {
  /** For programs: such as `conflict`, `expired`, `access-lost`, or a word of the app's own sender. */
  readonly kind: string;
  /** For people. */
  readonly message: string;
}

/** A write as Rust tells it. */
export interface WritePayload {
  id: number;
  uri: string;
  did: string;
  collection: string;
  rkey: string;
  space?: string;
  action: WriteAction;
  state: WriteState;
  error?: WriteFailure;
  attempts: number;
  /** Milliseconds since the Unix epoch. */
  queuedAt: number;
}

/** What changed in a queue since a revision. */
export interface WriteChanges {
  rev: number;
  /** `writes` is everything there is. */
  whole: boolean;
  writes: WritePayload[];
}

/** A record to be written. Rust makes a key where there is none. */
export interface NewWrite {
  rkey?: string;
  did: string;
  collection?: string;
  value: unknown;
  space?: string;
  time_us?: number;
}

/** Rust asks a page to send a write. */
export interface SendAsk {
  handle: number;
  /** To be repeated in the answer. */
  request: number;
  reason: "first" | "again" | "asked";
  /** What the app's function gets: `SentWrite`. */
  write: object;
}

/** Where the writes of a watch go. */
export type WireSender = { sender: string } | "page";
