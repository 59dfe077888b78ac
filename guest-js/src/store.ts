import type { ErrorPayload } from "./bindings/ErrorPayload.js";
import type { WireRecord } from "./bindings/WireRecord.js";
import { checkTauri } from "./bridge.js";
import { reportUncaught, toWatchError, WatchError } from "./error.js";
import { Link, type LinkEvents, type Update } from "./link.js";
import { mintOf, wireOptions } from "./options.js";
import { Ready } from "./ready.js";
import type { Snapshot, WatchRecord, WatchStore, WatchStoreOptions } from "./types.js";

/**
 * Makes a store that mirrors one watch. Nothing happens before `start()`.
 *
 * ```ts
 * const store = createWatchStore<{ text: string }>({
 *   url: "/xrpc/com.example.message.watchRecords?spaceUri=ats://…",
 * });
 * store.subscribe(({ records, status }) => render(records, status));
 * store.start();
 * ```
 *
 * Failures never throw: they end up in the store's `status` and `error`.
 *
 * @typeParam Value - the shape of the records' `value`; it is trusted, not checked
 */
export function createWatchStore<Value = Record<string, unknown>>(
  options: WatchStoreOptions<Value>,
): WatchStore<Value> {
  return new Store(options);
}

type Listener<Value> = (snapshot: Snapshot<Value>) => void;

class Store<Value> implements WatchStore<Value>, LinkEvents {
  readonly #options: WatchStoreOptions<Value>;
  readonly #listeners = new Set<{ call: Listener<Value> }>();
  readonly #ready = new Ready();
  #snapshot: Snapshot<Value> = { records: [], status: "idle", error: null };
  #cursor: string | null = null;
  /** The records in Rust's order, from which `#snapshot.records` was made. */
  #source: readonly WireRecord[] = [];
  #link: Link | undefined;
  #destroyed = false;
  #notifying: "no" | "yes" | "again" = "no";

  constructor(options: WatchStoreOptions<Value>) {
    this.#options = { ...options };
    // Older webviews lack the symbol.
    if (Symbol.dispose) Object.defineProperty(this, Symbol.dispose, { value: this.destroy });
  }

  declare [Symbol.dispose]: () => void;

  get records(): readonly WatchRecord<Value>[] {
    return this.#snapshot.records;
  }

  get status() {
    return this.#snapshot.status;
  }

  get error() {
    return this.#snapshot.error;
  }

  get cursor() {
    return this.#cursor;
  }

  get ready() {
    return this.#ready.promise;
  }

  subscribe = (call: Listener<Value>): (() => void) => {
    const listener = { call };
    if (!this.#destroyed) this.#listeners.add(listener);
    this.#call(listener, this.#snapshot);
    return () => void this.#listeners.delete(listener);
  };

  start = (): void => {
    if (this.#destroyed) return this.warn("start() after destroy() has no effect");
    if (this.#link) return;
    this.#ready.renew();
    try {
      checkTauri();
      const options = this.#options as WatchStoreOptions<never>;
      this.#link = new Link(wireOptions(options), mintOf(options), this.#source, this);
      this.#show({ status: "connecting", error: null });
    } catch (reason) {
      this.failed(toWatchError(reason));
    }
  };

  stop = (): void => {
    if (!this.#link) return;
    this.#link.close();
    this.#link = undefined;
    this.#ready.reject(new WatchError("stopped", "the store was stopped before it was live"));
    this.#show({ status: "closed" });
  };

  destroy = (): void => {
    this.stop();
    this.#destroyed = true;
    this.#listeners.clear();
  };

  update({ records, status, error, cursor }: Update): void {
    this.#cursor = cursor;
    if (status === "closed") {
      // Rust is done with this watch; start() makes a new one.
      this.#link?.close();
      this.#link = undefined;
    }
    this.#show({ status, error: this.#sameError(error), records: this.#ordered(records) });
    if (status === "live") this.#ready.resolve();
    if (status === "closed")
      this.#ready.reject(this.error ?? new WatchError("stopped", "the watch was closed"));
  }

  failed(error: WatchError): void {
    this.#link = undefined;
    this.#ready.reject(error);
    this.#show({ status: "closed", error });
  }

  warn(message: string, error?: WatchError): void {
    this.#log("warn", message, error);
  }

  /** An error that did not change keeps its object. */
  #sameError(payload: ErrorPayload | null): WatchError | null {
    const { error } = this.#snapshot;
    if (!payload) return null;
    return error?.kind === payload.kind && error.message === payload.message ? error : toWatchError(payload);
  }

  #ordered(source: readonly WireRecord[]): readonly WatchRecord<Value>[] {
    if (source === this.#source) return this.#snapshot.records;
    this.#source = source;
    const records = source as readonly WatchRecord<Value>[];
    const { compareRecords } = this.#options;
    if (!compareRecords) return records;
    try {
      return [...records].sort(compareRecords);
    } catch (reason) {
      this.#report("compareRecords threw, the records keep Rust's order", reason);
      return records;
    }
  }

  #show(change: Partial<Snapshot<Value>>): void {
    this.#snapshot = { ...this.#snapshot, ...change };
    if (this.#notifying !== "no") {
      // From within a listener: every listener hears of this change after the one under way.
      this.#notifying = "again";
      return;
    }
    do {
      this.#notifying = "yes";
      const snapshot = this.#snapshot;
      for (const listener of [...this.#listeners]) {
        if (this.#listeners.has(listener)) this.#call(listener, snapshot);
      }
    } while ((this.#notifying as string) === "again");
    this.#notifying = "no";
  }

  #call({ call }: { call: Listener<Value> }, snapshot: Snapshot<Value>): void {
    try {
      call(snapshot);
    } catch (reason) {
      this.#report("a listener threw", reason);
    }
  }

  /** What an app's own code threw. */
  #report(message: string, reason: unknown): void {
    if (this.#options.logger?.error) this.#log("error", message, reason);
    else reportUncaught(message, reason);
  }

  #log(level: "warn" | "error", message: string, detail: unknown): void {
    const line = [`contrail-sync: ${message}`, ...(detail === undefined ? [] : [detail])] as const;
    try {
      this.#options.logger?.[level]?.(...line);
    } catch {
      console[level](...line);
    }
  }
}
