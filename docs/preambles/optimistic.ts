import { nextTid, type WatchStore } from "tauri-plugin-contrail-sync-api";

declare const store: WatchStore<{ text: string }>;
declare const did: string;
declare function post(rkey: string, value: { text: string }): Promise<void>;
