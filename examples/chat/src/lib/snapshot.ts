import type { Snapshot } from "tauri-plugin-contrail-sync-api";
import type { MessageBody, MessageRecord } from "./chat.js";
import { writtenAt } from "./thread.js";

export type Messages = Snapshot<MessageBody>;

export const NOTHING: Messages = {
  records: [],
  status: "idle",
  error: null,
  cursor: null,
  profiles: {},
  hasMore: false,
};

/**
 * What to show after a store's `next` snapshot: a new store of the same person, over another transport, begins
 * with nothing but what that person has just written, and the messages on screen stay until it has its own.
 */
export function follow(shown: Messages, next: Messages): Messages {
  const { records, status } = next;
  const begins = status !== "closed" && status !== "live" && records.every((it) => it.optimistic);
  if (!begins) return next;
  const there = new Set(records.map((it) => it.uri));
  const kept = shown.records.filter((it) => !there.has(it.uri));
  if (kept.length === 0) return next;
  const profiles = { ...shown.profiles, ...next.profiles };
  return { ...next, profiles, records: [...records, ...kept].sort((a, b) => writtenAt(b) - writtenAt(a)) };
}

/** The same without one message. */
export function without(shown: Messages, message: MessageRecord): Messages {
  return { ...shown, records: shown.records.filter((it) => it.uri !== message.uri) };
}

const REFUSALS = ["access-lost", "forbidden", "not-found"];

/** Whether the server lets this person read no more: the watch is over and its records are gone. */
export function accessLost({ status, error }: Messages): boolean {
  return status === "closed" && REFUSALS.includes(error?.kind ?? "");
}
