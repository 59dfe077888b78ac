import { invoke } from "@tauri-apps/api/core";
import { checkTauri } from "./bridge.js";
import { toWatchError } from "./error.js";
import { plain } from "./plain.js";

/** Calls one of the plugin's commands; rejects with a `WatchError`, `not-tauri` where there is no Tauri. */
export async function callPlugin<T>(command: string, args: Record<string, unknown>): Promise<T> {
  checkTauri();
  const sent = plain(args);
  try {
    return await invoke<T>(`plugin:contrail-sync|${command}`, sent);
  } catch (reason) {
    throw toWatchError(reason);
  }
}
