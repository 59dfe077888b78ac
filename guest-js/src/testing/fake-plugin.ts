import { emit } from "@tauri-apps/api/event";
import { clearMocks, mockIPC } from "@tauri-apps/api/mocks";
import type { CacheInfo } from "../bindings/CacheInfo.js";
import type { CacheWarning } from "../bindings/CacheWarning.js";
import type { Delta } from "../bindings/Delta.js";
import type { ErrorPayload } from "../bindings/ErrorPayload.js";
import type { State } from "../bindings/State.js";
import type { Status } from "../bindings/Status.js";
import type { WireRecord } from "../bindings/WireRecord.js";

/** A call that reached the plugin. */
export interface Call {
  command: string;
  handle: number;
  args: Record<string, unknown>;
}

/** What a page answers to a question for a ticket. */
export type Answered = Record<"ticket" | "error", unknown>;

interface Open {
  session: string;
  rev: number;
  /** What the page was last told, by id. */
  told: Map<number, { record: WireRecord; index: number }>;
  inFlight: boolean;
  changed: boolean;
}

/**
 * The Rust side of the bridge as its contract has it: revisions, one delta in flight per handle, whole states on
 * request. The window it serves is Tauri's own mock of `invoke` and `listen`.
 */
export class FakePlugin {
  readonly calls: Call[] = [];
  readonly opens = new Map<number, Open>();
  status: Status = "live";
  error: ErrorPayload | null = null;
  cursor: string | null = null;
  records: WireRecord[] = [];
  cacheInfo: CacheInfo | null = null;
  /** What `cache_warnings` answers. */
  cacheWarnings: CacheWarning[] = [];
  /** May replace a command's answer: by throwing, or by returning a promise to wait for first. */
  intercept: (call: Call) => unknown = () => undefined;
  /** May replace an event's payload; `null` loses it. */
  tamper: (payload: string) => unknown = (payload) => payload;
  readonly #ids = new Map<string, number>();
  readonly #asked = new Map<number, (answer: Answered) => void>();
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

  /** Changes the watch and tells every page that is ready for it. */
  async push(change: Partial<Pick<FakePlugin, "status" | "error" | "cursor" | "records">>): Promise<void> {
    Object.assign(this, change);
    for (const open of this.opens.values()) open.changed = true;
    await Promise.all([...this.opens.keys()].map((handle) => this.#flush(handle)));
  }

  /** Forgets every handle, as Rust does when it thinks that the page is gone. */
  forget(): void {
    this.opens.clear();
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
    return answered;
  }

  async #command(name: string, args: Record<string, unknown>): Promise<unknown> {
    const command = name.replace("plugin:contrail-sync|", "");
    const handle = args["handle"] as number;
    const call = { command, handle, args };
    this.calls.push(call);
    await this.intercept(call);
    if (command === "open_watch") return this.#open(handle, args["session"] as string);
    if (command === "answer_mint") return this.#answer(args);
    if (["set_secret", "delete_secret", "clear_tickets", "clear_cache"].includes(command)) return null;
    if (command === "cache_info") return this.cacheInfo;
    if (command === "cache_warnings") return this.cacheWarnings;
    if (command === "close_watch") return void this.opens.delete(handle);
    const open = this.opens.get(handle);
    if (!open) throw { kind: "unknown-watch", message: `no watch has the handle ${handle}` };
    if (command === "watch_state") return this.#state(open);
    open.inFlight = false;
    await this.#flush(handle);
    return null;
  }

  #answer({ request, ticket, error }: Record<string, unknown>): null {
    this.#asked.get(request as number)?.({ ticket, error });
    return null;
  }

  #open(handle: number, session: string): State {
    const open = { session, rev: 0, told: new Map(), inFlight: false, changed: false };
    this.opens.set(handle, open);
    return this.#state(open);
  }

  #state(open: Open): State {
    open.told = this.#current();
    open.inFlight = false;
    open.changed = false;
    return structuredClone({
      rev: ++open.rev,
      status: this.status,
      error: this.error,
      cursor: this.cursor,
      ids: [...open.told.keys()],
      records: this.records,
    });
  }

  async #flush(handle: number): Promise<void> {
    const open = this.opens.get(handle);
    if (!open || open.inFlight || !open.changed) return;
    const delta = this.#delta(handle, open);
    open.inFlight = true;
    open.changed = false;
    const payload = this.tamper(JSON.stringify(delta));
    if (payload !== null) await this.send(handle, payload);
  }

  #delta(handle: number, open: Open): Delta {
    const now = this.#current();
    const kept = [...open.told.keys()].filter((id) => now.has(id));
    const keptNow = [...now.keys()].filter((id) => open.told.has(id));
    const moved = new Set(keptNow.filter((id, i) => kept[i] !== id));
    const changed = [...now].flatMap(([id, { record, index }]) => {
      const same = JSON.stringify(open.told.get(id)?.record) === JSON.stringify(record);
      return same && !moved.has(id) ? [] : [{ id, index, record }];
    });
    const removed = [...open.told.keys()].filter((id) => !now.has(id));
    open.told = now;
    open.rev += 1;
    const { status, error, cursor, records } = this;
    return { handle, rev: open.rev, status, error, cursor, length: records.length, removed, changed };
  }

  #current(): Open["told"] {
    return new Map(this.records.map((record, index) => [this.#id(record.uri), { record, index }]));
  }

  #id(uri: string): number {
    const id = this.#ids.get(uri) ?? this.#ids.size;
    this.#ids.set(uri, id);
    return id;
  }
}
