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
/** What comes with each: its reactions, and the message that it answers. */
const HYDRATED = { hydrateReactions: "20", hydrateParent: "true", limit: PAGE };

export type MessageRecord = WatchRecord<MessageBody>;

/** Where the messages are: in a space with members, or for all to see. */
export type Room = { kind: "public" } | { kind: "space"; spaceUri: string };

/** What the app was started with. */
export interface ChatConfig {
  appview: string;
  /** The first one is shown at first. */
  rooms: Room[];
  /** The dids of those who can sign in. */
  people: string[];
  /** Who is signed in at once. */
  did: string | null;
}

export const chatConfig = (): Promise<ChatConfig> => invoke("chat_config");

/** Gives `did` a session to write with, which stays in Rust. Rejects with a text for people. */
export const signIn = (did: string): Promise<void> => invoke("sign_in", { did });

/** Ends it. Rejects with a text for people. */
export const signOut = (did: string): Promise<void> => invoke("sign_out", { did });

/** What is written goes out through Rust, and what is being deleted shows until it is gone. */
const WRITES = { sender: { sender: "pds" }, showDeleted: true };

/**
 * The live list of what everybody writes for all to see, with the handles of those who do. There is no ticket: whatever the
 * appview's version is, `auto` finds the way that it knows.
 */
function watchEverybody(did: string, transport: Transport): WatchStore<MessageBody> {
  const query = new URLSearchParams({ ...HYDRATED, profiles: "true" });
  return createWatchStore<MessageBody>({
    ...WRITES,
    url: `/xrpc/com.example.message.listRecords?${query}`,
    transport,
    account: did,
    sort: { by: "value.createdAt", order: "desc" },
    logger: console,
  });
}

/** The live list of a room's messages, newest first. */
export function watchMessages(room: Room, did: string, transport: Transport): WatchStore<MessageBody> {
  return room.kind === "public" ? watchEverybody(did, transport) : watchSpace(room.spaceUri, did, transport);
}

/**
 * The live list of a space's messages, newest first, with their reactions and the messages they answer. Its tickets
 * are minted by the app's Rust side: the page never sees one. The server moves a message to the top at each edit; here
 * it stays where it was written.
 */
function watchSpace(spaceUri: string, did: string, transport: Transport): WatchStore<MessageBody> {
  const query = new URLSearchParams({
    ...HYDRATED,
    spaceUri,
  });
  return createWatchStore<MessageBody>({
    ...WRITES,
    url: `/xrpc/com.example.message.watchRecords?${query}`,
    transport,
    sort: { by: "value.createdAt", order: "desc" },
    account: did,
    mintTicket: { minter: "appview" },
    logger: console,
  });
}
