import type { ErrorKind } from "./bindings/ErrorKind.js";

/**
 * What went wrong, for programs. The plugin's own kinds, and those that only this package knows:
 *
 * - `not-tauri`: the page does not run inside Tauri, so there is nobody to hold the connection;
 * - `ipc`: Tauri refused or lost a call to the plugin, for example because the capability lacks
 *   `contrail-sync:default`;
 * - `stopped`: `stop()` or `destroy()` came before what was waited for.
 *
 * Treat it as an open list: later versions of the plugin may know more.
 */
export type WatchErrorKind = ErrorKind | "not-tauri" | "ipc" | "stopped" | (string & {});

/** The error that a store carries in `error`: a message for people, a `kind` for programs. */
export class WatchError extends Error {
  override readonly name = "WatchError";
  /** What went wrong, for programs. */
  readonly kind: WatchErrorKind;

  /**
   * @param kind - what went wrong, for programs
   * @param message - what went wrong, for people
   */
  constructor(kind: WatchErrorKind, message: string) {
    super(message);
    this.kind = kind;
  }
}

/** Reports what nobody waits for as an uncaught error, as the platform does with listeners that throw. */
export function reportUncaught(reason: unknown): void {
  // Older webviews lack it.
  (globalThis.reportError ?? console.error)(reason);
}

/** Whatever a call rejected with, as a {@link WatchError}: the plugin's `{kind, message}`, or Tauri's own text. */
export function toWatchError(reason: unknown): WatchError {
  if (reason instanceof WatchError) return reason;
  const { kind = "ipc", message = reason } = (reason ?? {}) as { kind?: string; message?: unknown };
  return new WatchError(kind, String(message));
}

/** Whether a watch that is closed for this has no access any more: what it had must not be kept. */
export function endsAccess(error: { readonly kind: string } | null): boolean {
  return error !== null && ["access-lost", "forbidden", "not-found"].includes(error.kind);
}

/** What the app gave makes no sense. */
export function invalid(message: string): WatchError {
  return new WatchError("invalid-options", message);
}

/** For whom waits in vain. */
export function stopped(): WatchError {
  return new WatchError("stopped", "the store is stopped");
}

/** For whom wants something of a store that is no more. */
export function destroyed(): WatchError {
  return new WatchError("stopped", "the store was destroyed");
}
