import { emit } from "@tauri-apps/api/event";
import { clearMocks, mockIPC } from "@tauri-apps/api/mocks";
import { vi } from "vitest";
import type { CacheInfo } from "../bindings/CacheInfo.js";
import type { CacheWarning } from "../bindings/CacheWarning.js";
import type { Delta } from "../bindings/Delta.js";
import type { ErrorPayload } from "../bindings/ErrorPayload.js";
import type { State } from "../bindings/State.js";
import type { Status } from "../bindings/Status.js";
import type { WireRecord } from "../record.js";
import type { NewWrite, SendAsk } from "../wire-writes.js";
import { FakeWrites } from "./fake-writes.js";
import { type Now, type Origin, Teller } from "./teller.js";

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

/** A handle that a page holds. */
class Open extends Teller {
  readonly session: string;
  acked = 0;
  inFlight = false;
  readonly account: string | undefined;
  nonce = 0;

  constructor(session: string, account: string | undefined) {
    super();
    this.session = session;
    this.account = account;
  }
}

/** An edit as it travels, see `../edits.ts`. */
interface SentEdit {
  op: "add" | "fail" | "remove";
  record: Omit<WireRecord, "cid">;
  rkey: string;
  did?: string;
  error: { name: string; message: string };
}

/**
 * The Rust side of the bridge as its contract has it: revisions, one delta in flight per handle, states and deltas of
 * bounded size, edits in order and once, leases, writes on a disk that outlives pages. The window it serves is Tauri's own mock of `invoke` and `listen`.
 */
export class FakePlugin {
  readonly calls: Call[] = [];
  readonly opens = new Map<number, Open>();
  status: Status = "live";
  error: ErrorPayload | null = null;
  cursor: string | null = null;
  /** What the server told of accounts. */
  profiles: State["profiles"] = {};
  /** What the server has. */
  records: WireRecord[] = [];
  /** Most records in one state or delta. */
  chunk = Infinity;
  /** What the server has by now, which `refresh_watch` finds. */
  unseen: WireRecord[] | undefined;
  /** Older records, which `load_more` gives by so many at a time. */
  older: WireRecord[] = [];
  pageSize = 2;
  cacheInfo: CacheInfo | null = null;
  /** What `cache_warnings` answers. */
  cacheWarnings: CacheWarning[] = [];
  /** May replace a command's answer: by throwing, by returning another, or a promise of one, or of when to go on. */
  intercept: (call: Call) => unknown = () => undefined;
  /** Commands that Tauri has carried out twice, as after a reload. */
  readonly twice = new Set<string>();
  readonly writes = new FakeWrites(() => void this.#tell());
  /** May replace an event's payload; `null` loses it. */
  tamper: (payload: string) => unknown = (payload) => payload;
  readonly #ids = new Map<string, number>();
  /** What pages added and the server has not confirmed, by uri. */
  readonly #optimistic = new Map<string, WireRecord>();
  /** The first attempt of the watch is under way: it has no records but optimistic ones. */
  #isNew = false;
  /** Whether the server answers the first attempt at once. */
  answers = true;
  /** How a watch stands until it does. */
  firstStatus: Status = "connecting";
  /** The watch's number, and those of the ones whose edits it was told. */
  #origin: Origin = { watch: 1, inherited: [] };
  readonly #asked = new Map<number, (answer: Answered & SendAnswered) => void>();
  #lastRequest = 0;

  /** Makes this page a Tauri page. */
  install(): void {
    Object.assign(globalThis, { isTauri: true });
    mockIPC((command, args) => this.#command(command, args as Record<string, unknown>), {
      shouldMockEvents: true,
    });
  }

  /** Makes it a plain page again. */
  static uninstall(): void {
    Object.assign(globalThis, { isTauri: false });
    clearMocks();
  }

  /** Handles that a `command` was called for, in order. */
  handles(command: string): number[] {
    return this.calls.filter((call) => call.command === command).map((call) => call.handle);
  }

  /** What a page that knows everything shows. */
  get shown(): WireRecord[] {
    const records = this.#isNew ? [] : this.records;
    const uris = new Set(records.map(({ uri }) => uri));
    const added = [...this.#optimistic.values()].filter(({ uri }) => !uris.has(uri));
    const edited = [...added.reverse(), ...records.map((it) => this.#optimistic.get(it.uri) ?? it)];
    return this.writes.over(edited);
  }

  /** Changes the watch and tells every page that is ready for it. */
  async push(
    change: Partial<Pick<FakePlugin, "status" | "error" | "cursor" | "records" | "profiles">>,
  ): Promise<void> {
    const before = new Map(this.records.map((it) => [it.uri, JSON.stringify(it)]));
    Object.assign(this, change);
    // What the server says anew is the confirmation of what a page added.
    for (const it of this.records) {
      if (before.get(it.uri) !== JSON.stringify(it)) this.#optimistic.delete(it.uri);
    }
    await this.#tell();
  }

  /** Waits until every page has acknowledged everything there is. */
  async caughtUp(): Promise<void> {
    await vi.waitUntil(() => [...this.opens.values()].every((it) => !it.inFlight && !it.changed), {
      interval: 1,
      timeout: 5000,
    });
  }

  /** Forgets every handle, as Rust does when it thinks that the page is gone. The watch lingers. */
  forget(): void {
    this.opens.clear();
  }

  /** Ends the watch, as Rust does some seconds after it forgot the last handle. The next to open it begins anew. */
  end(): void {
    this.forget();
    this.#optimistic.clear();
    this.#ids.clear();
    this.#isNew = true;
    this.#origin = { watch: this.#origin.watch + 1, inherited: [] };
  }

  /** Has the server answer the first attempt of a watch that began anew. */
  async connect(): Promise<void> {
    this.#isNew = false;
    for (const it of this.records) {
      if (isSaid(it, this.#optimistic.get(it.uri))) this.#optimistic.delete(it.uri);
    }
    await this.#tell();
  }

  /** Sends `payload` as it is on the event of `handle`'s session. */
  send(handle: number, payload: unknown): Promise<void> {
    return emit(`contrail-sync://${this.opens.get(handle)?.session}`, payload);
  }

  /** Asks the page for a ticket; its answer. */
  async ask(handle: number): Promise<Answered> {
    const request = ++this.#lastRequest;
    const answered = new Promise<Answered>((resolve) => this.#asked.set(request, resolve));
    const { session } = this.calls.find((call) => call.handle === handle)?.args ?? {};
    await emit(`contrail-sync://${session}/mint`, JSON.stringify({ handle, request, reason: "first" }));
    const { ticket, error } = await answered;
    return { ticket, error };
  }

  /** Has the page send a write; its answer, without what names the page. */
  async askToSend(handle: number, write: unknown): Promise<SendAnswered> {
    const request = ++this.#lastRequest;
    const answered = new Promise<SendAnswered>((resolve) => this.#asked.set(request, resolve));
    const { session } = this.calls.find((call) => call.handle === handle)?.args ?? {};
    const ask: SendAsk = { handle, request, reason: "first", write: write as SendAsk["write"] };
    await emit(`contrail-sync://${session}/send`, JSON.stringify(ask));
    const { session: _, handle: __, request: ___, ...answer } = await answered;
    return answer;
  }

  /** The list shows a write: the server has it. */
  async confirm(id: number): Promise<void> {
    const { record, told } = this.writes.rows.get(id)!;
    const others = this.records.filter(({ uri }) => uri !== record.uri);
    this.records = told.action === "delete" ? others : [record, ...others];
    this.writes.settle(id, "confirmed");
    await this.#tell();
  }

  async #command(name: string, args: Record<string, unknown>): Promise<unknown> {
    if (this.twice.has(name.replace("plugin:contrail-sync|", ""))) await this.#once(name, args);
    return this.#once(name, args);
  }

  async #once(name: string, args: Record<string, unknown>): Promise<unknown> {
    const command = name.replace("plugin:contrail-sync|", "");
    const handle = args["handle"] as number;
    const call = { command, handle, args };
    this.calls.push(call);
    const instead = await this.intercept(call);
    if (instead !== undefined) return instead;
    if (command === "open_watch") return this.#open(handle, args);
    if (command === "answer_mint" || command === "answer_send") return this.#answer(args);
    const account = args["account"] as string | undefined;
    if (command === "watch_writes") return this.writes.watch(account, args["after"] as number);
    if (command === "pending_writes") return structuredClone(this.writes.pending(account));
    if (command === "discard_writes") return this.writes.discardAll(account);
    if (command === "next_tid") return "3l3qo2vutsw2b";
    if (["set_secret", "delete_secret", "clear_tickets", "clear_cache"].includes(command)) return null;
    if (command === "renew_session") return [...this.opens.keys()];
    if (command === "wake_watches") return null;
    if (command === "cache_info") return this.cacheInfo;
    if (command === "cache_warnings") return this.cacheWarnings;
    if (command === "close_watch") return void this.opens.delete(handle);
    const open = this.opens.get(handle);
    if (!open) throw { kind: "unknown-watch", message: `no watch has the handle ${handle}` };
    if (command === "watch_state") return this.#state(open, handle);
    if (command === "put_record") {
      return this.writes.put(args["nonce"] as string, open.account, args["write"] as NewWrite);
    }
    if (command === "delete_record") return this.#delete(open, args);
    if (command === "retry_write") return this.writes.retry(args["id"] as number);
    if (command === "discard_write") return this.writes.discard(args["id"] as number);
    const inherits = args["inherits"];
    if (typeof inherits === "number")
      this.#origin = { ...this.#origin, inherited: [...this.#origin.inherited, inherits] };
    if (command === "edit_watch") return this.#edit(open, args["nonce"] as number, args["edit"] as SentEdit);
    if (command === "load_more") return this.#loadMore(open);
    if (command === "refresh_watch") return this.#refresh(open);
    return this.#ack(open, handle, args["rev"] as number);
  }

  #answer(args: Record<string, unknown>): null {
    this.#asked.get(args["request"] as number)?.(args as never);
    return null;
  }

  #delete(open: Open, { nonce, rkey, did }: Record<string, unknown>): unknown {
    const record = this.shown.find((it) => it.rkey === rkey && (did === undefined || it.did === did));
    if (!record) throw { kind: "not-found", message: `there is no record ${rkey}` };
    return this.writes.delete(nonce as string, open.account, record);
  }

  #open(handle: number, { session, options }: Record<string, unknown>): State {
    const { account } = options as { account?: string };
    const open = new Open(session as string, account);
    this.opens.set(handle, open);
    if (this.#isNew && this.answers) setTimeout(() => void this.connect());
    return this.#state(open, handle);
  }

  /** Counts as acknowledged; what it leaves out follows in deltas. */
  #state(open: Open, handle: number): State {
    const state = open.state(this.#origin, this.#now, this.chunk);
    open.inFlight = false;
    open.acked = open.rev;
    if (open.changed) setTimeout(() => void this.#flush(handle));
    return structuredClone(state);
  }

  async #ack(open: Open, handle: number, rev: number): Promise<Delta | null> {
    if (rev <= open.acked) return null;
    open.acked = rev;
    open.inFlight = false;
    return open.changed ? structuredClone(this.#delta(open, handle)) : null;
  }

  #edit(open: Open, nonce: number, { op, record, rkey, did, error }: SentEdit): null {
    if (nonce <= open.nonce) return null;
    open.nonce = nonce;
    if (op === "add") {
      const collection = record.collection ?? "com.example.chat.message";
      const uri = record.uri ?? `at://${record.did}/${collection}/${record.rkey}`;
      const real = this.#isNew ? undefined : this.records.find((it) => it.uri === uri);
      // The server was faster.
      if (isSaid(real, record) && !this.#optimistic.has(uri)) return null;
      const { time_us = 0 } = record as { time_us?: number };
      const made = { ...record, uri, collection, time_us, cid: null, optimistic: "pending" as const };
      this.#optimistic.delete(uri);
      this.#optimistic.set(uri, made);
    } else {
      const mine = [...this.#optimistic.values()].filter(
        (it) => it.rkey === rkey && (!did || it.did === did),
      );
      const newest = mine.at(-1);
      if (newest && op === "remove") this.#optimistic.delete(newest.uri);
      if (newest && op === "fail") {
        this.#optimistic.set(newest.uri, { ...newest, optimistic: "failed", optimisticError: error });
      }
    }
    void this.#tell();
    return null;
  }

  #loadMore(open: Open): number {
    this.records = [...this.records, ...this.older.splice(0, this.pageSize)];
    this.cursor = this.older.length > 0 ? `${this.older.length} left` : null;
    const toldFrom = open.rev + Number(open.hasNews(this.#now));
    void this.#tell();
    return toldFrom;
  }

  #refresh(open: Open): number {
    this.records = this.unseen ?? this.records;
    this.unseen = undefined;
    const toldFrom = open.rev + Number(open.hasNews(this.#now));
    void this.#tell();
    return toldFrom;
  }

  async #tell(): Promise<void> {
    for (const open of this.opens.values()) open.changed = true;
    await Promise.all([...this.opens.keys()].map((handle) => this.#flush(handle)));
  }

  async #flush(handle: number): Promise<void> {
    const open = this.opens.get(handle);
    if (!open || open.inFlight || !open.changed) return;
    const payload = this.tamper(JSON.stringify(this.#delta(open, handle)));
    if (payload !== null) await this.send(handle, payload);
  }

  #delta(open: Open, handle: number): Delta {
    open.inFlight = true;
    return open.delta(handle, this.#now, this.chunk);
  }

  get #now(): Now {
    const { error, cursor, profiles } = this;
    return {
      status: this.#isNew ? this.firstStatus : this.status,
      error,
      cursor,
      profiles,
      entries: this.shown.map((record) => ({ id: this.#id(record.uri), record })),
    };
  }

  #id(uri: string): number {
    const id = this.#ids.get(uri) ?? this.#ids.size;
    this.#ids.set(uri, id);
    return id;
  }
}

/** Whether the server's record says what is expected of it. */
function isSaid(real: WireRecord | undefined, expected: { value: unknown } | undefined): boolean {
  return !!real && !!expected && JSON.stringify(real.value) === JSON.stringify(expected.value);
}
