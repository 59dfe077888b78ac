import { createWatchStore, type WatchStore } from "tauri-plugin-contrail-sync-api";

declare const url: string;
declare const account: string;
declare const did: string;
declare const drafts: WatchStore<{ text: string }>;
