import { callPlugin } from "./call.js";
import { forgetAll } from "./left.js";
import { checkText } from "./plain.js";

/**
 * Stores a secret for the minters in Rust, in the OS keyring where there is one. There is no way to read it back.
 * The window's capability must have `contrail-sync:allow-secrets`.
 *
 * @param name - 1 to 64 letters, digits, dashes, dots and underscores
 * @param value - 1 to 16,384 bytes
 * @throws WatchError `invalid-options`, `vault`, `ipc` or `not-tauri`
 */
export async function setSecret(name: string, value: string): Promise<void> {
  checkText(name, "setSecret: name");
  // Tauri would quote the value that it cannot take.
  checkText(value, "setSecret: value");
  await callPlugin("set_secret", { name, value });
}

/**
 * Forgets a secret; one that is not there is fine. The window's capability must have `contrail-sync:allow-secrets`.
 *
 * @throws WatchError `invalid-options`, `vault`, `ipc` or `not-tauri`
 */
export async function deleteSecret(name: string): Promise<void> {
  checkText(name, "deleteSecret: name");
  await callPlugin("delete_secret", { name });
}

/**
 * Forgets the tickets of all accounts, in memory and in the keyring, as a logout should. Connections that are open
 * live on: stop their stores first. What stopped stores had still to say is forgotten, too.
 *
 * @throws WatchError `vault`, `ipc` or `not-tauri`
 */
export async function clearTickets(): Promise<void> {
  forgetAll();
  await callPlugin("clear_tickets", {});
}
