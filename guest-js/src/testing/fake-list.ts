import type { ErrorPayload } from "../bindings/ErrorPayload.js";
import type { Status } from "../bindings/Status.js";
import type { WatchOptions } from "../bindings/WatchOptions.js";
import { endsAccess } from "../error.js";
import { identity } from "../identity.js";
import { watchKey } from "../options.js";
import type { WireRecord } from "../record.js";
import type { Profiles, WatchRecord } from "../types.js";
import type { FakeCached, FakeError, FakeList, FakeRecord } from "./api.js";
import { copy } from "./copy.js";
import { fault, isTicket } from "./checks.js";
import type { FakeCache } from "./fake-cache.js";
import type { FakeRust } from "./fake-rust.js";
import { FakeWatch } from "./fake-watch.js";
import type { Home, Row } from "./fake-writes.js";
import { arrange, matches, micros } from "./view.js";

/** What a list needs of the fake that it is part of. */
export interface Server {
  readonly rust: FakeRust;
  readonly cache: FakeCache;
  readonly isOffline: boolean;
  /** A list has changed. */
  changed(list: ServedList): void;
  /** Fulfilled once every store shows what there is. */
  told(): Promise<void>;
}

/** The author of records that have none. */
const SOMEBODY = "did:plc:fake";

const OFFLINE: ErrorPayload = { kind: "connect", message: "the network is gone" };

/** What the server has for one URL, and the watches of it that stores have opened. */
export class ServedList implements FakeList {
  readonly url: string;
  /** The same, absolute. */
  readonly href: string;
  readonly #server: Server;
  /** What its URL says of its records. */
  readonly #home: { did: string; collection: string; space?: string };
  /** By `watchKey`: stores with other options have another watch. */
  readonly #watches = new Map<string, ListedWatch>();
  #records: WireRecord[] = [];
  /** Older ones, which each watch gets page by page. */
  #older: WireRecord[] = [];
  #pageSize = 2;
  /** Called once the server has answered with a list. */
  #waiters: (() => void)[] = [];
  #profiles: Profiles = {};
  #status: Status = "connecting";
  #error: ErrorPayload | null = null;
  /** The newest time, in microseconds since the Unix epoch. */
  #last = 0;
  #versions = 0;

  constructor(server: Server, url: string, absolute: URL) {
    this.url = url;
    this.href = absolute.href;
    this.#server = server;
    const space = absolute.searchParams.get("spaceUri");
    this.#home = {
      did: absolute.searchParams.get("actor") ?? SOMEBODY,
      collection: absolute.pathname.replace(/^.*\/|\.\w+$/g, ""),
      ...(space !== null && { space }),
    };
  }

  get records(): readonly WatchRecord[] {
    return arrange({ url: this.url }, this.#records) as WatchRecord[];
  }

  get followers(): number {
    return this.#opens.length;
  }

  snapshot = (records: readonly FakeRecord[]): Promise<void> => {
    const newest = Math.max(0, ...this.#older.map(({ time_us }) => time_us));
    const now = Math.max(this.#now(), newest + records.length * 1000);
    // Those of a list follow one another, the newest first.
    this.#records = this.#distinct(records.map((it, i) => this.#made(it, now - i * 1000)));
    this.#older = this.#older.filter(({ uri }) => !this.#records.some((it) => it.uri === uri));
    return this.status("live");
  };

  create = (record: FakeRecord): Promise<void> => this.#put(this.#made(record, this.#now()));

  update = (record: FakeRecord): Promise<void> => {
    const { cid: _, time_us: __, ...old } = this.#find(record.rkey, record.did);
    return this.#put(this.#made({ ...old, ...record } as FakeRecord, this.#now()));
  };

  delete = (rkey: string, did?: string): Promise<void> => {
    this.#remove(this.#find(rkey, did));
    return this.#tell();
  };

  older = (records: readonly FakeRecord[], pageSize = 2): Promise<void> => {
    if (!(pageSize >= 1)) throw new Error(`a page has ${pageSize} records, it may have 1 and more`);
    const oldest = Math.min(this.#now(), ...this.#records.map(({ time_us }) => time_us));
    const made = records.map((it, i) => this.#made(it, oldest - (i + 1) * 1000));
    this.#distinct([...this.#records, ...made]);
    this.#older = made;
    this.#pageSize = pageSize;
    return this.#tell();
  };

  cached = (records: readonly FakeRecord[], { account, cacheKey }: FakeCached = {}): void => {
    const now = this.#now();
    const made = this.#distinct(records.map((it, i) => this.#made(it, now - i * 1000)));
    this.#server.cache.keep(cacheKey ?? this.href, account, made);
  };

  profiles = (profiles: Profiles): Promise<void> => {
    this.#profiles = copy(profiles);
    return this.#tell();
  };

  status = (status: Status, error?: FakeError): Promise<void> => {
    this.#status = status;
    this.#error = status === "live" ? null : ((error ?? null) as ErrorPayload | null);
    if (status === "live") for (const tell of this.#waiters.splice(0)) tell();
    return this.#tell();
  };

  fail = async (error: FakeError): Promise<void> => {
    const watches = [...this.#watches.values()];
    if (endsAccess(error)) {
      for (const watch of watches) {
        watch.lose();
        this.#server.rust.writes.lose(this, watch.options.account);
      }
    }
    this.#waiters = [];
    await this.status("closed", error);
    this.#watches.clear();
    this.#records = [];
    this.#older = [];
    this.#status = "connecting";
    this.#error = null;
  };

  mint = async (): Promise<string> => {
    const asked = this.#opens.find(([, { options }]) => options.mint);
    if (!asked) throw new Error(`no store of ${this.url} has a function as its mintTicket`);
    const { ticket, error } = await this.#server.rust.ask(asked[0]);
    if (typeof error === "string") throw new Error(error);
    if (typeof ticket === "string" && isTicket(ticket)) return ticket.trim();
    throw new Error("mintTicket gave no ticket: a text without spaces");
  };

  /** The watch of a store with these options. */
  watch(options: WatchOptions): ListedWatch {
    const key = watchKey(options);
    const known = this.#watches.get(key);
    if (known) return known;
    const watch = new ListedWatch(this.#server.rust, this, options);
    this.#watches.set(key, watch);
    const cached = this.#server.cache.read(watch.cacheKey, options);
    Object.assign(watch, { records: cached.filter((it) => matches(options, it)) }, this.#seenBy(watch));
    return watch;
  }

  /** The handles of the pages that send for this account, the last one last. */
  senders(account: string | undefined): number[] {
    const opens = this.#opens.filter(([, { options }]) => options.account === account);
    return opens.filter(([, { options }]) => options.sender === "page").map(([handle]) => handle);
  }

  /** Fulfilled once the server can be asked, which it cannot while it is out of reach. */
  async reach(): Promise<void> {
    if (this.#server.isOffline) throw OFFLINE;
    if (this.#status === "reconnecting") throw this.#error ?? fault("connect", "nobody answers");
    if (!this.isReached) await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  /** What the server has shows. */
  get isReached(): boolean {
    return !this.#server.isOffline && ["live", "snapshot"].includes(this.#status);
  }

  /** What a record that a page makes is completed with. */
  get home(): Home {
    return { through: this, space: this.#home.space, time_us: this.#now() };
  }

  /** The collection, as the URL calls it. */
  get shortName(): string {
    return this.#home.collection;
  }

  /** What the server has of a record. */
  find(uri: string): WireRecord | undefined {
    return [...this.#records, ...this.#older].find((it) => it.uri === uri);
  }

  /** The server carries a write out. */
  carryOut(action: "put" | "delete", { uri, ...record }: WireRecord): void {
    const { did, collection, rkey, space, value } = record;
    const made = { did, collection, rkey, value: value as FakeRecord["value"] };
    const there = this.find(uri);
    if (action === "delete" && there) this.#remove(there);
    if (action === "put") {
      const { cid: _, time_us: __, ...old } = there ?? {};
      const whole = { ...old, ...made, ...(space !== undefined && { space }) };
      this.#add(this.#made(whole as FakeRecord, this.#now()));
    }
    this.sync();
  }

  /** A watch has lost access: the cache has nothing of it, either. */
  forget({ cacheKey, options }: ListedWatch): void {
    this.#server.cache.clear(cacheKey, options.account);
  }

  /** Older records that a watch has not got yet. */
  olderFor(watch: ListedWatch): WireRecord[] {
    return this.#older.filter((it) => !watch.loaded.has(identity(it)));
  }

  /** The next page of them. */
  pageFor(watch: ListedWatch): WireRecord[] {
    return this.olderFor(watch).slice(0, this.#pageSize);
  }

  /** Tells all watches what there is. */
  sync(): void {
    for (const watch of this.#watches.values()) void watch.push(this.#seenBy(watch));
  }

  get #opens() {
    return [...this.#watches.values()].flatMap((watch) => [...watch.opens]);
  }

  /** How a watch stands, and what it has of the server: nothing new while that is out of reach. */
  #seenBy(watch: ListedWatch): Partial<FakeWatch> {
    const isOffline = this.#server.isOffline && this.#status !== "closed";
    const status = isOffline ? "reconnecting" : this.#status;
    const error = isOffline ? OFFLINE : this.#error;
    if (!this.isReached) return { status, error };
    const left = this.olderFor(watch).length;
    const loaded = this.#older.filter((it) => watch.loaded.has(identity(it)));
    const records = [...this.#records, ...loaded].filter((it) => matches(watch.options, it));
    this.#server.cache.keep(watch.cacheKey, watch.options.account, records, watch.options);
    const cursor = left > 0 ? `${left} left` : null;
    return { status, error, cursor, profiles: this.#profiles as FakeWatch["profiles"], records };
  }

  #tell(): Promise<void> {
    this.sync();
    this.#server.changed(this);
    return this.#server.told();
  }

  #put(record: WireRecord): Promise<void> {
    this.#add(record);
    return this.#tell();
  }

  #add(record: WireRecord): void {
    this.#remove(record);
    this.#records = [record, ...this.#records];
  }

  #remove(record: WireRecord): void {
    const key = identity(record);
    const others = (it: WireRecord) => identity(it) !== key;
    [this.#records, this.#older] = [this.#records.filter(others), this.#older.filter(others)];
  }

  #find(rkey: string, did?: string): WireRecord {
    const all = arrange({ url: this.url }, [...this.#records, ...this.#older]);
    const record = all.find((it) => it.rkey === rkey && (did === undefined || it.did === did));
    if (!record) throw new Error(`${this.url} has no record ${rkey}${did === undefined ? "" : ` of ${did}`}`);
    return record;
  }

  /** @throws Error if one is there twice, as no server has it */
  #distinct(records: WireRecord[]): WireRecord[] {
    const known = new Set<string>();
    for (const it of records) {
      const key = identity(it);
      if (known.has(key)) throw new Error(`${this.url} cannot have ${it.uri} twice`);
      known.add(key);
    }
    return records;
  }

  #made(given: FakeRecord, time_us: number): WireRecord {
    this.#versions += 1;
    const record = { cid: `bafyfake${this.#versions}`, time_us, ...this.#home, ...copy(given) } as Omit<
      WireRecord,
      "uri"
    >;
    const { did, collection, rkey } = record;
    record.time_us = micros(record.time_us);
    this.#last = Math.max(this.#last, record.time_us);
    return { ...record, uri: `at://${did}/${collection}/${rkey}` } as WireRecord;
  }

  /** Later than anything else. */
  #now(): number {
    this.#last = Math.max(this.#last + 1, Date.now() * 1000);
    return this.#last;
  }
}

/** A watch of what a list has, as its options want it. */
export class ListedWatch extends FakeWatch {
  readonly options: WatchOptions;
  readonly list: ServedList;
  /** What `loadMore` has fetched of the older records. */
  readonly loaded = new Set<string>();

  constructor(rust: FakeRust, list: ServedList, options: WatchOptions) {
    super(rust);
    this.list = list;
    this.options = options;
  }

  /** What it is called in the cache. */
  get cacheKey(): string {
    return this.options.cacheKey ?? this.list.href;
  }

  /** Access is lost: nothing is left of it. */
  lose(): void {
    this.records = [];
    this.list.forget(this);
  }

  protected override arranged(records: WireRecord[]): WireRecord[] {
    return arrange(this.options, records);
  }

  protected override home(): Home {
    return this.list.home;
  }

  protected override madeAt(time_us: number | undefined): number | undefined {
    return time_us === undefined ? undefined : micros(time_us);
  }

  protected override shortName(): string {
    return this.list.shortName;
  }

  protected override isMine({ account }: Row): boolean {
    return account === this.options.account;
  }

  protected override sentBy(options: WatchOptions): string {
    const sentBy = super.sentBy(options);
    if (sentBy !== undefined) return sentBy;
    throw fault("invalid-options", "this watch has no sender: give it the option `sender`");
  }

  protected override async loadMore(): Promise<void> {
    const page = this.list.pageFor(this);
    if (page.length === 0) return;
    await this.list.reach();
    for (const it of page) this.loaded.add(identity(it));
    this.list.sync();
  }

  protected override async refresh(): Promise<void> {
    await this.list.reach();
    this.list.sync();
  }
}
