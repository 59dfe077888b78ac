import { createWatchStore } from "tauri-plugin-contrail-sync-api";

declare const url: string;
declare const account: string;
declare const ticket: string;
