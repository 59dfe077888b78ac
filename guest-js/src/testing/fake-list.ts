import type { ErrorPayload } from "../bindings/ErrorPayload.js";
import type { Status } from "../bindings/Status.js";
import type { WatchOptions } from "../bindings/WatchOptions.js";
import { endsAccess } from "../error.js";
import { identity } from "../identity.js";
import { watchKey } from "../options.js";
import type { WireRecord } from "../record.js";
import type { Profiles, WatchRecord } from "../types.js";
import type { FakeError, FakeList, FakeRecord } from "./api.js";
import { copy } from "./copy.js";
import type { FakeRust } from "./fake-rust.js";
import { FakeWatch } from "./fake-watch.js";
import type { Home } from "./fake-writes.js";
import { arrange, matches } from "./view.js";

/** What a list needs of the fake that it is part of. */
export interface Server {
  readonly rust: FakeRust;
  readonly isOffline: boolean;
  /** A list has changed. */
  changed(list: ServedList): void;
  /** Fulfilled once every store shows what there is. */
  settled(): Promise<void>;
}

/** The author of records that have none. */
const SOMEBODY = "did:plc:fake";

const OFFLINE: ErrorPayload = { kind: "connect", message: "the network is gone" };

/** What the server has for one URL, and the watches of it that stores have opened. */
export class ServedList implements FakeList {
  readonly url: string;
  readonly #server: Server;
  /** What its URL says of its records. */
  readonly #home: { did: string; collection: string; space?: string };
  /** By `watchKey`: stores with other options have another watch. */
  readonly #watches = new Map<string, ListedWatch>();
  #records: WireRecord[] = [];
  #older: WireRecord[] = [];
  #pageSize = 2;
  #profiles: Profiles = {};
  #status: Status = "connecting";
  #error: ErrorPayload | null = null;
  /** The newest time, in microseconds since the Unix epoch. */
  #last = 0;
  #versions = 0;

  constructor(server: Server, url: string, absolute: URL) {
    this.url = url;
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
    const now = this.#now();
    // Those of a list follow one another, the newest first.
    this.#records = records.map((it, i) => this.#made(it, now - i * 1000));
    return this.status("live");
  };

  create = (record: FakeRecord): Promise<void> => this.#put(this.#made(record, this.#now()));

  update = (record: FakeRecord): Promise<void> => {
    const { cid: _, time_us: __, ...old } = this.#find(record.rkey, record.did);
    return this.#put(this.#made({ ...old, ...record } as FakeRecord, this.#now()));
  };

  delete = (rkey: string, did?: string): Promise<void> => {
    const gone = this.#find(rkey, did);
    this.#records = this.#records.filter((it) => it !== gone);
    return this.#tell();
  };

  older = (records: readonly FakeRecord[], pageSize = 2): Promise<void> => {
    const oldest = Math.min(this.#now(), ...this.#records.map(({ time_us }) => time_us));
    this.#older = records.map((it, i) => this.#made(it, oldest - (i + 1) * 1000));
    this.#pageSize = pageSize;
    return this.#tell();
  };

  profiles = (profiles: Profiles): Promise<void> => {
    this.#profiles = copy(profiles);
    return this.#tell();
  };

  status = (status: Status, error?: FakeError): Promise<void> => {
    this.#status = status;
    this.#error = status === "live" ? null : ((error ?? null) as ErrorPayload | null);
    return this.#tell();
  };

  fail = async (error: FakeError): Promise<void> => {
    if (endsAccess(error)) this.#records = [];
    await this.status("closed", error);
    this.#watches.clear();
    this.#records = [];
    this.#status = "connecting";
    this.#error = null;
  };

  mint = async (): Promise<string> => {
    const asked = this.#opens.find(([, { options }]) => options.mint);
    if (!asked) throw new Error(`no store of ${this.url} has a function as its mintTicket`);
    const { ticket, error } = await this.#server.rust.ask(asked[0]);
    if (typeof ticket === "string") return ticket;
    throw new Error(typeof error === "string" ? error : "mintTicket gave no ticket");
  };

  /** The watch of a store with these options. */
  watch(options: WatchOptions): ListedWatch {
    const key = watchKey(options);
    const known = this.#watches.get(key);
    if (known) return known;
    const watch = new ListedWatch(this.#server.rust, this, options);
    this.#watches.set(key, watch);
    Object.assign(watch, this.#seenBy(watch));
    return watch;
  }

  /** What a record that a page makes is completed with. */
  get home(): Home {
    const { collection, space } = this.#home;
    return { collection, space, time_us: this.#now() };
  }

  /** Whether the server has `record` as it is. */
  find(uri: string): WireRecord | undefined {
    return this.#records.find((it) => it.uri === uri);
  }

  /** The server carries a write out. */
  carryOut(action: "put" | "delete", { uri, ...record }: WireRecord): void {
    const { did, collection, rkey, space, value } = record;
    const made = {
      did,
      collection,
      rkey,
      value: value as FakeRecord["value"],
      ...(space !== undefined && { space }),
    };
    if (action === "put") void this.create(made);
    else if (this.find(uri)) void this.delete(rkey, did);
  }

  /** The next page of older records. */
  loadMore(): void {
    this.#records = [...this.#records, ...this.#older.splice(0, this.#pageSize)];
    this.sync();
  }

  /** Tells all watches what there is. */
  sync(): void {
    for (const watch of this.#watches.values()) void watch.push(this.#seenBy(watch));
  }

  get #opens() {
    return [...this.#watches.values()].flatMap((watch) => [...watch.opens]);
  }

  #seenBy({ options }: ListedWatch) {
    const isOffline = this.#server.isOffline && this.#status !== "closed";
    return {
      status: isOffline ? "reconnecting" : this.#status,
      error: isOffline ? OFFLINE : this.#error,
      cursor: this.#older.length > 0 ? `${this.#older.length} left` : null,
      profiles: this.#profiles as FakeWatch["profiles"],
      records: this.#records.filter((it) => matches(options, it)),
    } as const;
  }

  #tell(): Promise<void> {
    this.sync();
    this.#server.changed(this);
    return this.#server.settled();
  }

  #put(record: WireRecord): Promise<void> {
    const key = identity(record);
    this.#records = [record, ...this.#records.filter((it) => identity(it) !== key)];
    return this.#tell();
  }

  #find(rkey: string, did?: string): WireRecord {
    const found = this.records.find((it) => it.rkey === rkey && (did === undefined || it.did === did));
    const record = found && this.#records.find((it) => it.uri === found.uri);
    if (!record) throw new Error(`${this.url} has no record ${rkey}${did === undefined ? "" : ` of ${did}`}`);
    return record;
  }

  #made(given: FakeRecord, time_us: number): WireRecord {
    this.#versions += 1;
    const record = { cid: `bafyfake${this.#versions}`, time_us, ...this.#home, ...copy(given) };
    const { did, collection, rkey } = record;
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

  constructor(rust: FakeRust, list: ServedList, options: WatchOptions) {
    super(rust);
    this.list = list;
    this.options = options;
  }

  protected override arranged(records: WireRecord[]): WireRecord[] {
    return arrange(this.options, records);
  }

  protected override home(): Home {
    return { through: this, ...this.list.home };
  }

  protected override loadMore(): void {
    this.list.loadMore();
  }

  protected override refresh(): void {
    this.list.sync();
  }
}
