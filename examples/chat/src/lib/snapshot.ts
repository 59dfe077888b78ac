import type { Snapshot } from "tauri-plugin-contrail-sync-api";
import type { MessageBody } from "./chat.js";

export type Messages = Snapshot<MessageBody>;

export const NOTHING: Messages = { records: [], status: "idle", error: null };

/**
 * What to show after a store's `next` snapshot: a new store of the same person, over another transport, begins
 * empty, and the messages on screen stay until it has its own.
 */
export function follow(shown: Messages, next: Messages): Messages {
  const begins = next.status !== "live" && next.status !== "closed" && next.records.length === 0;
  return begins ? { ...next, records: shown.records } : next;
}

const REFUSALS = ["access-lost", "forbidden", "not-found"];

/** Whether the server lets this person read no more: the watch is over and its records are gone. */
export function accessLost({ status, error }: Messages): boolean {
  return status === "closed" && REFUSALS.includes(error?.kind ?? "");
}
