import type { Delta } from "../bindings/Delta.js";
import type { ErrorPayload } from "../bindings/ErrorPayload.js";
import type { State } from "../bindings/State.js";
import type { Status } from "../bindings/Status.js";
import type { WatchOptions } from "../bindings/WatchOptions.js";
import { equal, identity } from "../identity.js";
import type { WireRecord } from "../record.js";
import type { NewWrite } from "../wire-writes.js";
import { copy } from "./copy.js";
import { checkRecord, checkTarget, fault } from "./checks.js";
import type { FakeWrites, Home, Row } from "./fake-writes.js";
import { type Now, type Origin, Teller } from "./teller.js";

/** What a watch needs of the plugin that it is part of. */
export interface Surroundings {
  readonly writes: FakeWrites;
  /** The number of a watch that begins, and those of the ones whose edits it counts as told. */
  begin(): Origin;
  /** Sends `payload` on one of a page's events. */
  emit(event: string, payload: unknown): Promise<void>;
}

/** A handle that a page holds. */
export class Open extends Teller {
  readonly session: string;
  readonly options: WatchOptions;
  acked = 0;
  inFlight = false;
  nonce = 0;

  constructor(session: string, options: WatchOptions) {
    super();
    this.session = session;
    this.options = options;
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
 * One watch of the Rust side as the bridge's contract has it: revisions, one delta in flight per handle, states and
 * deltas of bounded size, edits in order and once.
 */
export class FakeWatch {
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
  /** May replace an event's payload; `null` loses it. */
  tamper: (payload: string) => unknown = (payload) => payload;
  /** Whether the server answers the first attempt at once. */
  answers = true;
  /** How a watch stands until it does. */
  firstStatus: Status = "connecting";
  readonly #around: Surroundings;
  readonly #ids = new Map<string, number>();
  /** What pages added and the server has not confirmed, by uri. */
  readonly #optimistic = new Map<string, WireRecord>();
  /** The bodies of edits that another one has taken the place of, by uri. */
  readonly #earlier = new Map<string, unknown[]>();
  /** The first attempt of the watch is under way: it has no records but optimistic ones. */
  #isNew = false;
  #origin: Origin;
  /** Called when a page has acknowledged something, or is gone. */
  #waiters: (() => void)[] = [];

  constructor(around: Surroundings) {
    this.#around = around;
    this.#origin = around.begin();
  }

  /** What a page that knows everything shows. */
  get shown(): WireRecord[] {
    const records = this.#isNew ? [] : this.records;
    const uris = new Set(records.map(({ uri }) => uri));
    const added = [...this.#optimistic.values()].filter(({ uri }) => !uris.has(uri));
    const edited = [...added.reverse(), ...records.map((it) => edit(it, this.#optimistic.get(it.uri)))];
    const { through } = this.home();
    return this.arranged(this.#around.writes.over(edited, through, (row) => this.isMine(row)));
  }

  /** Whether every page has acknowledged everything there is. */
  get isCaughtUp(): boolean {
    return [...this.opens.values()].every((it) => !it.inFlight && !it.changed);
  }

  /** Changes the watch and tells every page that is ready for it. */
  async push(
    change: Partial<Pick<FakeWatch, "status" | "error" | "cursor" | "records" | "profiles">>,
  ): Promise<void> {
    const before = new Map(this.records.map((it) => [it.uri, it]));
    Object.assign(this, change);
    for (const it of this.records) {
      if (this.#confirms(it, before.get(it.uri))) this.#optimistic.delete(it.uri);
    }
    await this.tell();
  }

  /** Waits until every page has acknowledged everything there is. */
  async caughtUp(): Promise<void> {
    while (!this.isCaughtUp) await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  /** Forgets every handle, as Rust does when it thinks that the page is gone. The watch lingers. */
  forget(): void {
    this.opens.clear();
    this.#notify();
  }

  /** Ends the watch, as Rust does some seconds after it forgot the last handle. The next to open it begins anew. */
  end(): void {
    this.forget();
    this.#optimistic.clear();
    this.#ids.clear();
    this.#isNew = true;
    this.#origin = this.#around.begin();
  }

  /** Has the server answer the first attempt of a watch that began anew. */
  async connect(): Promise<void> {
    this.#isNew = false;
    for (const it of this.records) {
      if (isSaid(it, this.#optimistic.get(it.uri))) this.#optimistic.delete(it.uri);
    }
    await this.tell();
  }

  /** Closes the watch at once, whatever pages have acknowledged, and leaves them nothing of it. */
  shut(): void {
    for (const open of this.opens.values()) open.inFlight = false;
    this.#optimistic.clear();
    void this.push({ status: "closed", error: null, records: [] });
    this.forget();
  }

  /** Sends `payload` as it is on the event of `handle`'s session. */
  send(handle: number, payload: unknown): Promise<void> {
    return this.#around.emit(`${this.opens.get(handle)?.session}`, payload);
  }

  /** Tells every page that is ready for it what it does not know. */
  async tell(): Promise<void> {
    for (const open of this.opens.values()) open.changed = true;
    await Promise.all([...this.opens.keys()].map((handle) => this.#flush(handle)));
  }

  /** Carries out a command of a page that has `handle`. */
  command(name: string, handle: number, args: Record<string, unknown>): unknown {
    const open = this.opens.get(handle);
    if (!open) throw fault("unknown-watch", `no watch has the handle ${handle}`);
    const nonce = args["nonce"] as never;
    if (name === "watch_state") return this.#state(open, handle);
    if (name === "put_record") return this.#put(nonce, open, args["write"] as NewWrite);
    if (name === "delete_record") return this.#delete(nonce, open, args);
    if (name === "load_more" || name === "refresh_watch") {
      const fetched = name === "load_more" ? this.loadMore() : this.refresh();
      return fetched instanceof Promise ? fetched.then(() => this.#toldFrom(open)) : this.#toldFrom(open);
    }
    if (name === "edit_watch") return this.#edit(open, nonce, args["edit"] as SentEdit, args["inherits"]);
    return this.#ack(open, handle, args["rev"] as number);
  }

  open(handle: number, session: string, options: WatchOptions): State {
    const open = new Open(session, options);
    this.opens.set(handle, open);
    if (this.#isNew && this.answers) setTimeout(() => void this.connect());
    return this.#state(open, handle);
  }

  close(handle: number): void {
    this.opens.delete(handle);
    this.#notify();
  }

  /** The records in the order of the watch, as far as it shows them. */
  protected arranged(records: WireRecord[]): WireRecord[] {
    return records;
  }

  /** What a record that a page makes is completed with. */
  protected home(): Home {
    return { through: this, collection: "com.example.chat.message" };
  }

  /** When a record that a page shows by itself was made. */
  protected madeAt(time_us: number | undefined): number | undefined {
    return time_us;
  }

  /** The collection of a record that a page shows by itself, where no other record tells it. */
  protected shortName(): string {
    return "com.example.chat.message";
  }

  /** Whether it shows this write. */
  protected isMine(_: Row): boolean {
    return true;
  }

  /** Who sends what a page writes. @throws what Rust answers where nobody does */
  protected sentBy({ sender }: WatchOptions): string | undefined {
    return typeof sender === "object" ? sender.sender : sender;
  }

  /** What the server has of a record. */
  find(uri: string): WireRecord | undefined {
    return this.records.find((it) => it.uri === uri);
  }

  /** Fetches older records. */
  protected loadMore(): void | Promise<void> {
    this.records = [...this.records, ...this.older.splice(0, this.pageSize)];
    this.cursor = this.older.length > 0 ? `${this.older.length} left` : null;
  }

  /** Fetches what the server has by now. */
  protected refresh(): void | Promise<void> {
    this.records = this.unseen ?? this.records;
    this.unseen = undefined;
  }

  #put(nonce: string, { options }: Open, write: NewWrite): unknown {
    checkRecord(write);
    const home = this.home();
    // The name in a URL is a short one, to which nothing can be written.
    const collection = write.collection ?? this.#sibling?.collection ?? home.collection;
    if (collection === undefined) throw nameless();
    const completed = { ...home, collection, sentBy: this.sentBy(options) };
    return this.#around.writes.put(nonce, options.account, write, completed);
  }

  #delete(nonce: string, { options }: Open, { rkey, did }: Record<string, unknown>): unknown {
    checkTarget(rkey, did);
    const home = this.home();
    const meant = this.shown.find((it) => it.rkey === rkey && (did === undefined || it.did === did));
    const record = meant ?? this.#absent(rkey as string, did as string | undefined, home);
    const completed = { ...home, sentBy: this.sentBy(options) };
    return this.#around.writes.delete(nonce, options.account, record, completed);
  }

  /** A record that is not shown: one of this author in the collection of the others. */
  #absent(rkey: string, did: string | undefined, { space }: Home): WireRecord {
    const { collection } = this.#sibling ?? {};
    if (did === undefined || collection === undefined) throw nameless();
    const uri = `at://${did}/${collection}/${rkey}`;
    return { uri, did, collection, rkey, value: {}, time_us: 0, cid: null, ...(space && { space }) };
  }

  /** Any record that the server told: all are of one collection. */
  get #sibling(): WireRecord | undefined {
    return this.#isNew ? undefined : this.records[0];
  }

  /** Counts as acknowledged; what it leaves out follows in deltas. */
  #state(open: Open, handle: number): State {
    const state = open.state(this.#origin, this.#now, this.chunk);
    open.inFlight = false;
    open.acked = open.rev;
    if (open.changed) setTimeout(() => void this.#flush(handle));
    this.#notify();
    return copy(state);
  }

  async #ack(open: Open, handle: number, rev: number): Promise<Delta | null> {
    if (rev <= open.acked) return null;
    open.acked = rev;
    open.inFlight = false;
    const answer = open.changed ? copy(this.#delta(open, handle)) : null;
    this.#notify();
    return answer;
  }

  /** Whether a record that the server told is what came of an edit: what was edited, or something new. */
  #confirms(record: WireRecord, before: WireRecord | undefined): boolean {
    const mine = this.#optimistic.get(record.uri);
    if (!mine || equal(mine.value, record.value)) return true;
    const isOld = before && equal(before.value, record.value);
    return !isOld && !this.#earlier.get(record.uri)?.some((it) => equal(it, record.value));
  }

  #edit(open: Open, nonce: number, { op, record, rkey, did, error }: SentEdit, inherits: unknown): null {
    if (typeof inherits === "number") {
      this.#origin = { ...this.#origin, inherited: [...this.#origin.inherited, inherits] };
    }
    if (nonce <= open.nonce) return null;
    open.nonce = nonce;
    if (op === "add") return this.#add(record);
    const mine = [...this.#optimistic.values()].filter((it) => it.rkey === rkey && (!did || it.did === did));
    const newest = mine[mine.length - 1];
    if (newest && op === "remove") this.#optimistic.delete(newest.uri);
    if (newest && op === "fail") {
      this.#optimistic.set(newest.uri, { ...newest, optimistic: "failed", optimisticError: error });
    }
    void this.tell();
    return null;
  }

  #add(record: SentEdit["record"]): null {
    checkRecord(record);
    const home = this.home();
    const { collection = this.#sibling?.collection ?? this.shortName(), did, rkey } = record;
    const { uri = `at://${did}/${collection}/${rkey}`, space = home.space } = record;
    const real = this.#isNew ? undefined : this.records.find((it) => it.uri === uri);
    // The server was faster.
    if (isSaid(real, record) && !this.#optimistic.has(uri)) return null;
    // An edit stays where the record is.
    const time_us = real?.time_us ?? this.madeAt(record.time_us) ?? home.time_us ?? 0;
    const made: WireRecord = { ...record, uri, collection, time_us, cid: null, optimistic: "pending" };
    if (space !== undefined) made.space = space;
    const mine = this.#optimistic.get(uri);
    this.#earlier.set(uri, mine ? [...(this.#earlier.get(uri) ?? []), mine.value] : []);
    this.#optimistic.delete(uri);
    this.#optimistic.set(uri, made);
    void this.tell();
    return null;
  }

  #toldFrom(open: Open): number {
    const toldFrom = open.rev + Number(open.hasNews(this.#now));
    void this.tell();
    return toldFrom;
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
      entries: this.shown.map((record) => ({ id: this.#id(identity(record)), record })),
    };
  }

  #id(key: string): number {
    const id = this.#ids.get(key) ?? this.#ids.size;
    this.#ids.set(key, id);
    return id;
  }

  #notify(): void {
    for (const wake of this.#waiters.splice(0)) wake();
  }
}

/** What the server has, with what a page made of it. */
function edit(base: WireRecord, mine: WireRecord | undefined): WireRecord {
  if (!mine) return base;
  const { value, optimistic, optimisticError } = mine;
  return { ...base, value, ...(optimistic && { optimistic }), ...(optimisticError && { optimisticError }) };
}

function nameless(): object {
  return fault("invalid-options", "collection is missing, and neither the URL nor a record tells it");
}

/** Whether the server's record says what is expected of it. */
function isSaid(real: WireRecord | undefined, expected: { value: unknown } | undefined): boolean {
  return !!real && !!expected && equal(real.value, expected.value);
}
