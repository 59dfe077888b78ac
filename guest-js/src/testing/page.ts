import { vi } from "vitest";
import type { WatchStore, WatchStoreOptions } from "../types.js";
import { FakePlugin } from "./fake-plugin.js";
import { record } from "./records.js";

/** A page of its own, with the package freshly loaded into it, in a window whose plugin has two records. */
export class Page {
  readonly plugin: FakePlugin;
  /** What the page listens to. */
  readonly events = new EventTarget();
  readonly #create: typeof import("../store.js").createWatchStore;
  readonly #stores: WatchStore[] = [];

  private constructor(plugin: FakePlugin, create: typeof import("../store.js").createWatchStore) {
    this.plugin = plugin;
    this.#create = create;
    vi.stubGlobal("addEventListener", this.events.addEventListener.bind(this.events));
  }

  static async open(): Promise<Page> {
    vi.resetModules();
    const { createWatchStore } = await import("../store.js");
    const plugin = new FakePlugin();
    plugin.records = [record("b"), record("a")];
    plugin.install();
    return new Page(plugin, createWatchStore);
  }

  /** A page in another window of the same app. Its handles begin at 101: the plugin tells pages apart by them alone. */
  async beside(): Promise<Page> {
    vi.resetModules();
    const { attach, detach } = await import("../bridge.js");
    while (attach({} as never) < 100);
    for (let handle = 1; handle <= 100; handle++) detach(handle);
    const { createWatchStore } = await import("../store.js");
    return new Page(this.plugin, createWatchStore);
  }

  /** The page that comes after this one in its window, as after a reload. */
  async reload(): Promise<Page> {
    this.leave();
    for (const store of this.#stores) store.destroy();
    this.plugin.forget();
    return this.beside();
  }

  make(options: Partial<WatchStoreOptions> & Record<string, unknown> = {}): WatchStore {
    // It takes no lines: what is to be refused here need not fill the console.
    const store = this.#create({ url: "/xrpc/com.example.message.watchRecords", logger: {}, ...options });
    this.#stores.push(store);
    return store;
  }

  async started(options: Parameters<Page["make"]>[0] = {}): Promise<WatchStore> {
    const store = this.make(options);
    store.start();
    await store.ready;
    return store;
  }

  /** Says that the page is shown again after it was kept in the page cache. */
  comeBack(persisted = true): void {
    this.events.dispatchEvent(Object.assign(new Event("pageshow"), { persisted }));
  }

  /** Says that the page ends, or goes to the page cache. */
  leave(persisted = false): void {
    this.events.dispatchEvent(Object.assign(new Event("pagehide"), { persisted }));
  }

  /** Says that the page is hidden, or visible. */
  hide(hidden: boolean): void {
    vi.spyOn(document, "hidden", "get").mockReturnValue(hidden);
    document.dispatchEvent(new Event("visibilitychange"));
  }

  /** Ends it, so that nothing of it reaches the next page. */
  close(): void {
    this.leave(true);
    for (const store of this.#stores) store.destroy();
    FakePlugin.uninstall();
    vi.unstubAllGlobals();
  }
}

/** Holds back the answers to `command`, though Rust has carried it out, until the gate opens. */
export function answerLate(command: string, answer: { opened: Promise<void> }): void {
  const { invoke } = window.__TAURI_INTERNALS__;
  window.__TAURI_INTERNALS__.invoke = async (name: string, args: unknown) => {
    const result = await invoke(name, args);
    if (name.endsWith(command)) await answer.opened;
    return result;
  };
}

declare global {
  interface Window {
    __TAURI_INTERNALS__: { invoke(command: string, args: unknown): Promise<unknown> };
  }
}
