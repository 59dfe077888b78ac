import type { NewRecord, PendingWrite } from "tauri-plugin-contrail-sync-api";
import { MESSAGES, type MessageBody, type MessageRecord } from "./chat.js";

/** A new message of `did`, which answers the one at `replyTo`. */
export function newMessage(did: string, text: string, replyTo?: string): NewRecord<MessageBody> {
  const value: MessageBody = { text, createdAt: new Date().toISOString() };
  if (replyTo) value.reply = { uri: replyTo };
  return { did, collection: MESSAGES, value };
}

/** A message with another text; the rest of its body stays, also what this chat knows nothing of. */
export function edited(
  { did, collection, rkey, value }: MessageRecord,
  text: string,
): NewRecord<MessageBody> {
  return { did, collection, rkey, value: { ...value, text } };
}

/** Has the server taken it? */
const isTaken = ({ state }: PendingWrite) => state === "sent" || state === "unconfirmed";

/** How many of them the server does not have yet. */
export function waiting(writes: readonly PendingWrite[]): number {
  return writes.filter((it) => !isTaken(it)).length;
}

/** Does the server's list have something to say to it: that it arrived, or what is there instead? */
const isNews = (write: PendingWrite) => isTaken(write) || write.error?.kind === "conflict";

/** Whether the server's list has something to say to one of them that it did not have before. */
export function hasNews(before: readonly PendingWrite[], now: readonly PendingWrite[]): boolean {
  const known = new Set(before.filter(isNews).map(({ id }) => id));
  return now.some((it) => isNews(it) && !known.has(it.id));
}
