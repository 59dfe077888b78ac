// What the plugin and this page say to each other of writes.

export type { NewRecord as NewWrite } from "./bindings/NewRecord.js";
export type { SendAsk } from "./bindings/SendAsk.js";
export type { SenderOption as WireSender } from "./bindings/SenderOption.js";
export type { WriteChanges } from "./bindings/WriteChanges.js";
export type { WritePayload } from "./bindings/WritePayload.js";

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
