import { emit } from "@tauri-apps/api/event";
import type { CacheInfo } from "../bindings/CacheInfo.js";
import type { CacheWarning } from "../bindings/CacheWarning.js";
import type { WatchOptions } from "../bindings/WatchOptions.js";
import type { SendAsk } from "../wire-writes.js";
import { copy } from "./copy.js";
import type { FakeWatch, Surroundings } from "./fake-watch.js";
import { FakeWrites } from "./fake-writes.js";
import type { Origin } from "./teller.js";
import { nextTid } from "./tid.js";

/** A call that reached the plugin. */
export interface Call {
  command: string;
  handle: number;
  args: Record<string, unknown>;
}

/** What a page answers to a question for a ticket. */
export type Answered = Record<"ticket" | "error", unknown>;

/** What a page answers to a write that it is to send. */
export type SendAnswered = Record<string, unknown>;

/** How Tauri calls the plugin's commands. */
export const PREFIX = "plugin:contrail-sync|";

/** What a handle that is not open is answered. */
const SILENT = ["set_secret", "delete_secret", "clear_tickets", "clear_cache", "wake_watches"];

/**
 * The plugin's commands as its contract has them, for the pages of one window: which watch a handle is of, edits and calls
 * that a reload repeats, questions to pages, writes on a disk that outlives pages.
 */
export class FakeRust implements Surroundings {
  readonly calls: Call[] = [];
  /** The watches that there are. */
  readonly watches = new Set<FakeWatch>();
  readonly writes: FakeWrites;
  cacheInfo: CacheInfo | null = null;
  /** What `cache_warnings` answers. */
  cacheWarnings: CacheWarning[] = [];
  /** May replace a command's answer: by throwing, by returning another, or a promise of one, or of when to go on. */
  intercept: (call: Call) => unknown = () => undefined;
  /** Commands that Tauri has carried out twice, as after a reload. */
  readonly twice = new Set<string>();
  /** The watch that a page opens with these options. */
  find: (options: WatchOptions) => FakeWatch = () => {
    throw { kind: "internal", message: "there is no watch" };
  };
  /** Told after a command was carried out. */
  done: (call: Call) => void = () => {};
  readonly #before: number;
  readonly #past: readonly number[];
  /** The numbers of its own watches. */
  readonly begun: number[] = [];
  readonly #asked = new Map<number, (answer: Answered & SendAnswered) => void>();
  #lastRequest = 0;

  /**
   * @param before - numbers that a page may know from before: its own are above them
   * @param past - numbers of watches whose edits it need not tell again
   */
  constructor(before = 0, past: readonly number[] = []) {
    this.#before = before;
    this.#past = past;
    this.writes = new FakeWrites(() => {
      for (const watch of this.watches) void watch.tell();
    }, before);
  }

  begin(): Origin {
    const watch = this.#before + this.begun.length + 1;
    this.begun.push(watch);
    return { watch, inherited: [...this.#past] };
  }

  emit(event: string, payload: unknown): Promise<void> {
    return emit(`contrail-sync://${event}`, payload);
  }

  /** Handles that a `command` was called for, in order. */
  handles(command: string): number[] {
    return this.calls.filter((call) => call.command === command).map((call) => call.handle);
  }

  /** Asks the page for a ticket; its answer. */
  async ask(handle: number): Promise<Answered> {
    const { ticket, error } = await this.#question(handle, "mint", { reason: "first" });
    return { ticket, error };
  }

  /** Has the page send a write; its answer, without what names the page. */
  async askToSend(handle: number, write: unknown): Promise<SendAnswered> {
    const ask: Pick<SendAsk, "reason" | "write"> = { reason: "first", write: write as SendAsk["write"] };
    const { session: _, handle: __, request: ___, ...answer } = await this.#question(handle, "send", ask);
    return answer;
  }

  async #question(handle: number, what: string, more: object): Promise<Answered & SendAnswered> {
    const request = ++this.#lastRequest;
    const answered = new Promise<Answered & SendAnswered>((resolve) => this.#asked.set(request, resolve));
    const { session } = this.calls.find((call) => call.handle === handle)?.args ?? {};
    await this.emit(`${session}/${what}`, JSON.stringify({ handle, request, ...more }));
    return answered;
  }

  /** What Tauri calls. */
  async command(name: string, args: Record<string, unknown>): Promise<unknown> {
    const command = name.replace(PREFIX, "");
    if (this.twice.has(command)) await this.#once(command, args);
    return this.#once(command, args);
  }

  async #once(command: string, args: Record<string, unknown>): Promise<unknown> {
    const call = { command, handle: args["handle"] as number, args };
    this.calls.push(call);
    const instead = await this.intercept(call);
    if (instead !== undefined) return instead;
    const answer = await this.#carryOut(call);
    this.done(call);
    return answer;
  }

  #carryOut({ command, handle, args }: Call): unknown {
    const account = args["account"] as string | undefined;
    const id = args["id"] as number;
    if (command === "open_watch") return this.#open(handle, args);
    if (command === "answer_mint" || command === "answer_send") return this.#answer(args);
    if (command === "watch_writes") return this.writes.watch(account, args["after"] as number);
    if (command === "pending_writes") return copy(this.writes.pending(account));
    if (command === "discard_writes") return this.writes.discardAll(account);
    if (command === "next_tid") return nextTid();
    if (SILENT.includes(command)) return null;
    if (command === "renew_session") return [...this.watches].flatMap((it) => [...it.opens.keys()]);
    if (command === "cache_info") return this.cacheInfo;
    if (command === "cache_warnings") return this.cacheWarnings;
    const watch = this.watchOf(handle);
    if (command === "close_watch") return watch?.close(handle);
    if (!watch) throw { kind: "unknown-watch", message: `no watch has the handle ${handle}` };
    const owner = watch.opens.get(handle)?.options.account;
    if (command === "retry_write") return this.writes.retry(id, owner);
    if (command === "discard_write") return this.writes.discard(id, owner);
    return watch.command(command, handle, args);
  }

  /** The watch that a page has open as `handle`. */
  watchOf(handle: number): FakeWatch | undefined {
    return [...this.watches].find((it) => it.opens.has(handle));
  }

  #open(handle: number, { session, options }: Record<string, unknown>): unknown {
    const watch = this.find(options as WatchOptions);
    this.watches.add(watch);
    return watch.open(handle, session as string, options as WatchOptions);
  }

  #answer(args: Record<string, unknown>): null {
    this.#asked.get(args["request"] as number)?.(args as never);
    return null;
  }
}
