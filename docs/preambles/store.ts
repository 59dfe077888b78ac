import type { WatchStore } from "tauri-plugin-contrail-sync-api";

declare const store: WatchStore<{ text: string }>;
