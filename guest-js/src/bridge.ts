import { invoke, isTauri } from "@tauri-apps/api/core";
import { listen } from "@tauri-apps/api/event";
import type { Delta } from "./bindings/Delta.js";
import type { MintAsk } from "./bindings/MintAsk.js";
import type { SendAsk } from "./wire-writes.js";
import { toWatchError, WatchError } from "./error.js";
import { uuid } from "./uuid.js";

// This page's end of the bridge: one random id and three event listeners, however many stores. The id is in the events'
// names because Tauri shows an event to every webview that listens for its name.

/** Whoever wants the deltas of one handle. */
export interface Receiver {
  /** A delta for this handle arrived. */
  receive(delta: Delta): void;
  /** Something was lost or this page slept: fetch the whole state. */
  resync(): void;
  /** Rust wants a ticket for this handle. */
  mint(ask: MintAsk): void;
  /** Rust wants a write of this handle's watch sent. */
  send(ask: SendAsk): void;
}

/** Milliseconds between two signs of life; Rust takes the handles of a page back that gave none for 90 s. */
const RENEW_MS = 30_000;

const receivers = new Map<number, Receiver>();
let lastHandle = 0;
let session: string;
let listening: Promise<void> | undefined;

/** Listens, so that no event of a watch opened after it can be lost; once, but a failure is not remembered. */
export function listenToRust(): Promise<void> {
  return (listening ??= listenAll().catch((reason: unknown) => {
    listening = undefined;
    throw reason;
  }));
}

async function listenAll(): Promise<void> {
  session = uuid();
  const endDeltas = await listenTo<Delta>(session, (delta) => {
    if (delta?.records && delta.removed) receivers.get(delta.handle)?.receive(delta);
    // Unreadable, so it could have been anyone's.
    else resync();
  });
  const endAsks = await listenTo<MintAsk>(`${session}/mint`, (ask) => {
    if (ask) receivers.get(ask.handle)?.mint(ask);
  });
  const endSends = await listenTo<SendAsk>(`${session}/send`, (ask) => {
    if (ask) receivers.get(ask.handle)?.send(ask);
  });
  addEventListener("pagehide", ({ persisted }) => {
    if (persisted) return;
    // Tauri remembers the listeners of a page that a reload ended for as long as its window is open.
    endDeltas();
    endAsks();
    endSends();
  });
  addEventListener("pageshow", ({ persisted }) => {
    // A page that comes back from the page cache missed events, and Rust may have taken its handles back.
    if (persisted) resync();
  });
  addEventListener("online", wake);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) void renew();
    else wake();
  });
  setInterval(renew, RENEW_MS);
}

/** Routes the deltas of a new handle to `receiver`. */
export function attach(receiver: Receiver): number {
  receivers.set(++lastHandle, receiver);
  return lastHandle;
}

/** No more deltas for `handle`. */
export function detach(handle: number): void {
  receivers.delete(handle);
}

/** Calls one of the plugin's commands for this page; rejects with a `WatchError`. */
export async function call<T>(command: string, args?: object): Promise<T> {
  try {
    return await invoke(`plugin:contrail-sync|${command}`, { session, ...args });
  } catch (reason) {
    throw toWatchError(reason);
  }
}

/** Tells Rust that this page lives, and whether it can be seen. Handles that Rust took back meanwhile are opened again. */
async function renew(): Promise<void> {
  if (receivers.size === 0) return;
  try {
    const held = new Set(await call<number[]>("renew_session", { visible: !document.hidden }));
    for (const [handle, receiver] of receivers) {
      if (!held.has(handle)) receiver.resync();
    }
  } catch {
    // The next one may be heard.
  }
}

/** The network may be back, or this page may have slept. */
function wake(): void {
  if (receivers.size === 0) return;
  // Without it the watches try again a little later.
  call("wake_watches").catch(() => {});
  void renew();
}

function resync(): void {
  for (const receiver of receivers.values()) receiver.resync();
}

/** Listens to one of the plugin's events, whose payloads are JSON texts. What it gives ends that. */
export function listenTo<T>(
  name: string,
  take: (payload: T | null | undefined) => void,
): Promise<() => void> {
  return listen<string>(`contrail-sync://${name}`, ({ payload }) => {
    let value: T | undefined;
    try {
      value = JSON.parse(payload) as T;
    } catch {
      // Anybody can send an event by this name.
    }
    take(value);
  });
}

/** @throws WatchError `not-tauri` */
export function checkTauri(): void {
  if (!isTauri()) throw new WatchError("not-tauri", "the page runs outside Tauri");
}
