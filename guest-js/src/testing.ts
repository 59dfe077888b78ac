/**
 * For the unit tests of apps: {@link fakeContrailSync} stands in for the Rust side.
 *
 * @packageDocumentation
 */
import { deferred } from "./deferred.js";
import type { FakeContrailSync, FakeError, FakeList, FakeOptions } from "./testing/api.js";
import { checkOptions, checkSecret, checkUrl, fault } from "./testing/checks.js";
import { FakeCache } from "./testing/fake-cache.js";
import { ServedList, type Server } from "./testing/fake-list.js";
import { FakeOutbox } from "./testing/fake-outbox.js";
import { FakeRust, PREFIX } from "./testing/fake-rust.js";
import { FakeWatch } from "./testing/fake-watch.js";
import { enterTauri, leaveTauri } from "./testing/tauri.js";

export type {
  FakeCached,
  FakeCall,
  FakeContrailSync,
  FakeError,
  FakeList,
  FakeOptions,
  FakeRecord,
  FakeWrite,
} from "./testing/api.js";

/** Numbers that one fake may use up. */
const NUMBERS = 1_000_000;

/** After these commands there may be something to send. */
const SENDING = ["open_watch", "put_record", "delete_record", "retry_write", "discard_write"];

/** Before fake timers can take its place. */
const { setTimeout: later } = globalThis;

let current: Fake | undefined;
let fakes = 0;
/** Fulfilled when the next fake begins. */
let next = deferred();
/** The numbers of the watches of earlier fakes. */
const past: number[] = [];

/**
 * Stands in for the Rust side of this page, so that a unit test can say what the appview has and see what the app makes of it.
 * What is beneath is what this package's own tests run on: revisions, deltas, the states of writes, errors with `kind` and
 * `message` are those of the plugin. It needs a page (happy-dom, jsdom), and no particular test runner.
 *
 * ```ts
 * const appview = fakeContrailSync();
 * const messages = appview.watch<Message>("/xrpc/com.example.message.listRecords");
 *
 * render(<Messages />); // uses createWatchStore({ url: "/xrpc/com.example.message.listRecords" })
 * await messages.snapshot([{ rkey: "1", value: { text: "hello" } }]);
 * await messages.create({ rkey: "2", value: { text: "you there?" } });
 *
 * appview.restore();
 * ```
 *
 * One fake serves a page at a time: a new one restores the one before.
 *
 * @throws Error where there is no page
 */
export function fakeContrailSync(options: FakeOptions = {}): FakeContrailSync {
  if (typeof window === "undefined") {
    throw new Error("fakeContrailSync() needs a page: give the test the environment happy-dom or jsdom");
  }
  current?.restore();
  return (current = new Fake(options));
}

class Fake implements FakeContrailSync, Server {
  readonly rust: FakeRust;
  readonly cache: FakeCache;
  readonly urls: string[] = [];
  isOffline = false;
  readonly #baseUrl: string;
  readonly #lists = new Map<string, ServedList>();
  readonly #outbox: FakeOutbox;
  readonly #refused = new Map<string, FakeError>();

  constructor({ baseUrl = "https://appview.test", cache = true, ipc = unknownCommand }: FakeOptions) {
    this.#baseUrl = baseUrl;
    this.cache = new FakeCache(cache);
    const before = fakes++ * NUMBERS;
    this.rust = new FakeRust(before, past);
    this.#outbox = new FakeOutbox(this.rust, this.told);
    this.rust.find = (given) => this.#open(given as Record<string, unknown>);
    this.rust.intercept = ({ command, args }) => {
      const error = this.#refused.get(command);
      if (error) throw { ...error };
      return this.#answer(command, args);
    };
    this.rust.done = ({ command }) => {
      if (SENDING.includes(command)) this.#send();
    };
    enterTauri((command, args) =>
      command.startsWith(PREFIX) ? this.rust.command(command, args) : ipc(command, args),
    );
    next.resolve();
    next = deferred();
  }

  get writes() {
    return this.#outbox.writes;
  }

  get calls() {
    return this.rust.calls;
  }

  watch = <Value = Record<string, unknown>>(url: string): FakeList<Value> =>
    this.#list(url) as unknown as FakeList<Value>;

  refuse = (command: string, error: FakeError): (() => void) => {
    this.#refused.set(command, error);
    return () => {
      if (this.#refused.get(command) === error) this.#refused.delete(command);
    };
  };

  offline = (): Promise<void> => this.#reach(false);

  online = (): Promise<void> => this.#reach(true);

  settled = async (): Promise<void> => {
    do {
      await this.told();
      await this.#outbox.answered();
    } while (![...this.rust.watches].every((it) => it.isCaughtUp));
  };

  told = async (): Promise<void> => {
    do {
      // What a page has just begun reaches Rust before a timer does.
      await new Promise<void>((resolve) => later(resolve));
      for (const watch of this.rust.watches) await watch.caughtUp();
    } while (![...this.rust.watches].every((it) => it.isCaughtUp));
  };

  restore = (): void => {
    if (current !== this) return;
    current = undefined;
    this.#refused.clear();
    this.rust.writes.end(next.promise);
    for (const watch of this.rust.watches) watch.shut();
    // What is under way finds nothing but a watch that is closed.
    const closed = new FakeWatch(this.rust);
    closed.shut();
    this.rust.find = () => closed;
    past.push(...this.rust.begun);
    leaveTauri((command, args) => {
      if (command.startsWith(PREFIX)) return this.rust.command(command, args);
      throw new Error(`${command}: the fake was restored`);
    });
  };

  [Symbol.dispose] = this.restore;

  changed(): void {
    this.#outbox.check();
  }

  #reach(isOnline: boolean): Promise<void> {
    this.isOffline = !isOnline;
    for (const list of this.#lists.values()) list.sync();
    this.#outbox.check();
    this.#send();
    return this.settled();
  }

  #send(): void {
    if (!this.isOffline) this.#outbox.send();
  }

  /** Opens a watch that a page asks for, if Rust would. */
  #open(options: Record<string, unknown>): FakeWatch {
    checkOptions(options);
    const { url, cache, account } = options;
    this.urls.push(url);
    checkUrl(url, this.#baseUrl, options);
    if (cache === true && !this.cache.isOn) {
      throw fault(
        "unsupported",
        'not supported: this app has no cache: its Builder turns it off, or it was built without the feature "cache"',
      );
    }
    this.#outbox.signIn(account);
    return this.#list(url).watch(options);
  }

  /** What has to do with neither a watch nor the writes. */
  #answer(command: string, args: Record<string, unknown>): unknown {
    if (command === "cache_info") return this.cache.info;
    if (command === "clear_cache") return this.#clear(args);
    if (command === "clear_tickets") this.#outbox.signOut();
    if (command === "set_secret" || command === "delete_secret") checkSecret(args);
    return undefined;
  }

  #clear({ key, account }: { key?: string; account?: string }): null {
    const keys = key === undefined ? [undefined] : [key, this.#absolute(key).href];
    for (const it of keys) this.cache.clear(it, account);
    return null;
  }

  #list(url: string): ServedList {
    const absolute = this.#absolute(url);
    const known = this.#lists.get(absolute.href);
    if (known) return known;
    const list = new ServedList(this, url, absolute);
    this.#lists.set(absolute.href, list);
    return list;
  }

  /** The same for all ways to write a URL. */
  #absolute(url: string): URL {
    const absolute = new URL(url, this.#baseUrl);
    // Rust takes either, as the other one lies beside it.
    absolute.pathname = absolute.pathname.replace(/\.listRecords$/, ".watchRecords");
    absolute.searchParams.sort();
    return absolute;
  }
}

function unknownCommand(command: string): never {
  throw new Error(`${command}: there is no such command: give fakeContrailSync the option ipc`);
}
