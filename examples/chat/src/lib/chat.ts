import { invoke } from "@tauri-apps/api/core";
import {
  createWatchStore,
  type Transport,
  type WatchRecord,
  type WatchStore,
} from "tauri-plugin-contrail-sync-api";

/** The body of a message as the lexicon has it. */
export interface MessageBody {
  text: string;
  createdAt?: string;
  reply?: { uri: string };
}

/** The collection that messages live in. */
export const MESSAGES = "com.example.chat.message";

/** How many messages come at first, and with each step back. */
const PAGE = "50";

export type MessageRecord = WatchRecord<MessageBody>;

/** What the app was started with. */
export interface ChatConfig {
  appview: string;
  spaceUri: string | null;
  /** The dids of those who can sign in. */
  people: string[];
  /** Who is signed in at once. */
  did: string | null;
}

export const chatConfig = (): Promise<ChatConfig> => invoke("chat_config");

/**
 * The live list of a space's messages, newest first, with their reactions and the messages they answer. Its tickets
 * are minted by the app's Rust side: the page never sees one. The server moves a message to the top at each edit; here
 * it stays where it was written.
 */
export function watchMessages(spaceUri: string, did: string, transport: Transport): WatchStore<MessageBody> {
  const query = new URLSearchParams({
    spaceUri,
    hydrateReactions: "20",
    hydrateParent: "true",
    limit: PAGE,
  });
  return createWatchStore<MessageBody>({
    url: `/xrpc/com.example.message.watchRecords?${query}`,
    transport,
    sort: { by: "value.createdAt", order: "desc" },
    account: did,
    mintTicket: { minter: "appview" },
    logger: console,
  });
}

/** Stores a message of `did`; it shows up when the watch brings it. Rejects with a text for people. */
export function postMessage(did: string, rkey: string, record: MessageBody): Promise<void> {
  return invoke("send_message", { did, rkey, record });
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
