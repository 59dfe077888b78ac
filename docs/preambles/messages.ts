import { createWatchStore, type WatchStore } from "tauri-plugin-contrail-sync-api";

export interface Message {
  text: string;
}

export const messages: WatchStore<Message> = createWatchStore<Message>({
  url: "/xrpc/com.example.message.watchRecords?spaceUri=…",
});
