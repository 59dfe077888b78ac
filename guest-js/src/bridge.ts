import { invoke, isTauri } from "@tauri-apps/api/core";
import { listen } from "@tauri-apps/api/event";
import type { Delta } from "./bindings/Delta.js";
import type { MintAsk } from "./bindings/MintAsk.js";
import type { State } from "./bindings/State.js";
import type { WatchOptions } from "./bindings/WatchOptions.js";
import { toWatchError, WatchError } from "./error.js";
import type { MintAnswer } from "./mint.js";

/** Whoever wants the deltas of one handle. */
export interface Receiver {
  /** A delta for this handle arrived. */
  receive(delta: Delta): void;
  /** Something was lost or this page slept: fetch the whole state. */
  resync(): void;
  /** Rust wants a ticket for this handle. */
  mint(ask: MintAsk, session: Session): void;
}

/**
 * This page's end of the bridge: one random id, one event listener (and one more once a store mints tickets),
 * however many stores. The id is in the
 * event's name because Tauri shows an event to every webview that listens for its name.
 */
export class Session {
  readonly #id: string;
  readonly #receivers = new Map<number, Receiver>();
  #lastHandle = 0;
  #minting: Promise<unknown> | undefined;

  private constructor(id: string) {
    this.#id = id;
  }

  /** A session that already listens, so that no event of a watch opened after it can be lost. */
  static async open(): Promise<Session> {
    const session = new Session(uuid());
    await session.#listen("", (payload) => session.#route(payload));
    // A page that comes back from the page cache missed events, and Rust may have taken its handles back.
    addEventListener("pageshow", (event) => event.persisted && session.#resyncAll());
    return session;
  }

  /** Listens to Rust's questions for tickets from here on; a failure is not remembered. */
  async listenForMints(): Promise<void> {
    this.#minting ??= this.#listen("/mint", (payload) => {
      const ask = parse<MintAsk>(payload);
      if (ask) this.#receivers.get(ask.handle)?.mint(ask, this);
    });
    try {
      await this.#minting;
    } catch (reason) {
      this.#minting = undefined;
      throw reason;
    }
  }

  /** Routes the deltas of a new handle to `receiver`. */
  attach(receiver: Receiver): number {
    const handle = ++this.#lastHandle;
    this.#receivers.set(handle, receiver);
    return handle;
  }

  /** No more deltas for `handle`. */
  detach(handle: number): void {
    this.#receivers.delete(handle);
  }

  /** Opens a watch in Rust; rejects with a `WatchError`. */
  openWatch(handle: number, options: WatchOptions): Promise<State> {
    return this.#invoke("open_watch", { handle, options });
  }

  /** Releases a watch in Rust; rejects with a `WatchError`. */
  closeWatch(handle: number): Promise<void> {
    return this.#invoke("close_watch", { handle });
  }

  /** The whole state of a watch; rejects with a `WatchError`. */
  watchState(handle: number): Promise<State> {
    return this.#invoke("watch_state", { handle });
  }

  /** Tells Rust that `rev` is applied, which lets it send the next delta; rejects with a `WatchError`. */
  ackWatch(handle: number, rev: number): Promise<void> {
    return this.#invoke("ack_watch", { handle, rev });
  }

  /** Answers a question for a ticket; rejects with a `WatchError`. */
  answerMint({ handle, request }: MintAsk, answer: MintAnswer): Promise<void> {
    return this.#invoke("answer_mint", { handle, request, ...answer });
  }

  #invoke<T>(command: string, args: Record<string, unknown>): Promise<T> {
    return callPlugin(command, { session: this.#id, ...args });
  }

  #listen(suffix: string, take: (payload: unknown) => void): Promise<unknown> {
    return listenTo(this.#id + suffix, take);
  }

  #route(payload: unknown): void {
    const delta = parseDelta(payload);
    // Unreadable, so it could have been anyone's.
    if (!delta) return this.#resyncAll();
    this.#receivers.get(delta.handle)?.receive(delta);
  }

  #resyncAll(): void {
    for (const receiver of [...this.#receivers.values()]) receiver.resync();
  }
}

let current: Promise<Session> | undefined;

/** The page's session, opened on first use; a failure is not remembered. */
export function openSession(): Promise<Session> {
  current ??= Session.open().catch((reason: unknown) => {
    current = undefined;
    throw reason;
  });
  return current;
}

/** Calls one of the plugin's commands; rejects with a `WatchError`, `not-tauri` where there is no Tauri. */
export async function callPlugin<T>(command: string, args: Record<string, unknown>): Promise<T> {
  checkTauri();
  return call(invoke<T>(`plugin:contrail-sync|${command}`, args));
}

/** Listens to one of the plugin's events; rejects with a `WatchError`. What it gives ends that. */
export function listenTo(name: string, take: (payload: unknown) => void): Promise<() => void> {
  return call(listen<unknown>(`contrail-sync://${name}`, ({ payload }) => take(payload)));
}

/** @throws WatchError `not-tauri` */
export function checkTauri(): void {
  if (isTauri()) return;
  throw new WatchError("not-tauri", "this needs a Tauri app around the page: there is none here");
}

async function call<T>(pending: Promise<T>): Promise<T> {
  try {
    return await pending;
  } catch (reason) {
    throw toWatchError(reason);
  }
}

/** Reads an event's payload, one JSON string; `undefined` if it is no delta. */
function parseDelta(payload: unknown): Delta | undefined {
  const delta = parse<Delta>(payload);
  if (!delta || ![delta.handle, delta.rev, delta.length].every(Number.isSafeInteger)) return undefined;
  return Array.isArray(delta.removed) && Array.isArray(delta.changed) ? delta : undefined;
}

/** The JSON in an event's payload; `undefined` if there is none. */
export function parse<T>(payload: unknown): T | undefined {
  try {
    return (JSON.parse(payload as string) as T | null) ?? undefined;
  } catch {
    return undefined;
  }
}

/** A random UUID. `crypto.randomUUID` is missing where a phone loads the page from a development server. */
function uuid(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
