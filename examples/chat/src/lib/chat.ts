import { invoke } from "@tauri-apps/api/core";
import { createWatchStore, type WatchRecord, type WatchStore } from "tauri-plugin-contrail-sync-api";

/** The body of a message as the lexicon has it. */
export interface MessageBody {
  text: string;
  createdAt?: string;
  reply?: { uri: string };
}

export type MessageRecord = WatchRecord<MessageBody>;

/** What the app was started with. */
export interface ChatConfig {
  appview: string;
  spaceUri: string | null;
  did: string;
  ticket: string | null;
}

export const chatConfig = (): Promise<ChatConfig> => invoke("chat_config");

/** The live list of a space's messages, newest first, with their reactions and the messages they answer. */
export function watchMessages({ did, ticket }: ChatConfig, spaceUri: string): WatchStore<MessageBody> {
  const query = new URLSearchParams({
    spaceUri,
    hydrateReactions: "20",
    hydrateParent: "true",
    limit: "200",
  });
  return createWatchStore<MessageBody>({
    url: `/xrpc/com.example.message.watchRecords?${query}`,
    account: did,
    mintTicket: ticket ?? undefined,
    logger: console,
  });
}

/** Stores a message; it shows up when the watch brings it. Rejects with a text for people. */
export function sendMessage(text: string, replyTo?: string): Promise<void> {
  const record: MessageBody = { text, createdAt: new Date().toISOString() };
  if (replyTo) record.reply = { uri: replyTo };
  return invoke("send_message", { rkey: recordKey(), record });
}

const SORTABLE = "234567abcdefghijklmnopqrstuvwxyz";

/** A record key that sorts by time: 53 bits of microseconds and 10 random bits, 13 characters of base 32. */
export function recordKey(now = Date.now()): string {
  const random = crypto.getRandomValues(new Uint16Array(2));
  const micros = BigInt(now) * 1000n + BigInt((random[0] ?? 0) % 1000);
  let bits = (micros << 10n) | BigInt((random[1] ?? 0) % 1024);
  let key = "";
  for (let i = 0; i < 13; i++, bits >>= 5n) key = SORTABLE.charAt(Number(bits & 31n)) + key;
  return key;
}
