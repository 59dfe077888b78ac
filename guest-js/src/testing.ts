/**
 * For the unit tests of apps: {@link fakeContrailSync} stands in for the Rust side.
 *
 * @packageDocumentation
 */
import type { FakeContrailSync, FakeError, FakeList, FakeOptions } from "./testing/api.js";
import { ServedList, type Server } from "./testing/fake-list.js";
import { FakeOutbox } from "./testing/fake-outbox.js";
import { FakeRust, PREFIX } from "./testing/fake-rust.js";
import { enterTauri, leaveTauri } from "./testing/tauri.js";

export type {
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

/** Before fake timers can take its place. */
const { setTimeout: later } = globalThis;

let current: Fake | undefined;
let fakes = 0;
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
 */
export function fakeContrailSync(options: FakeOptions = {}): FakeContrailSync {
  current?.restore();
  return (current = new Fake(options));
}

class Fake implements FakeContrailSync, Server {
  readonly rust: FakeRust;
  readonly urls: string[] = [];
  isOffline = false;
  readonly #baseUrl: string;
  readonly #lists = new Map<string, ServedList>();
  readonly #outbox: FakeOutbox;
  readonly #refused = new Map<string, FakeError>();

  constructor({ baseUrl = "https://appview.test", ipc = unknownCommand }: FakeOptions) {
    this.#baseUrl = baseUrl;
    const before = fakes++ * NUMBERS;
    this.rust = new FakeRust(before, past);
    this.#outbox = new FakeOutbox(this.rust, this.settled);
    this.rust.find = (options) => {
      this.urls.push(options.url);
      return this.#list(options.url).watch(options);
    };
    this.rust.intercept = ({ command }) => {
      const error = this.#refused.get(command);
      if (error) throw { ...error };
    };
    this.rust.done = ({ command }) => {
      if (["put_record", "delete_record", "retry_write", "discard_write"].includes(command)) this.#send();
    };
    enterTauri((command, args) =>
      command.startsWith(PREFIX) ? this.rust.command(command, args) : ipc(command, args),
    );
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
    return () => void this.#refused.delete(command);
  };

  offline = (): Promise<void> => this.#reach(false);

  online = (): Promise<void> => this.#reach(true);

  settled = async (): Promise<void> => {
    do {
      // What a page has just begun reaches Rust before a timer does.
      await new Promise<void>((resolve) => later(resolve));
      await this.#outbox.answered();
      for (const watch of this.rust.watches) await watch.caughtUp();
    } while (![...this.rust.watches].every((it) => it.isCaughtUp));
  };

  restore = (): void => {
    if (current !== this) return;
    current = undefined;
    this.rust.writes.end();
    for (const watch of this.rust.watches) watch.shut();
    past.push(...this.rust.begun);
    leaveTauri();
  };

  [Symbol.dispose] = this.restore;

  changed(): void {
    this.#outbox.check();
  }

  #reach(isOnline: boolean): Promise<void> {
    this.isOffline = !isOnline;
    for (const list of this.#lists.values()) list.sync();
    this.#send();
    return this.settled();
  }

  #send(): void {
    if (!this.isOffline) this.#outbox.send();
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
    let absolute: URL;
    try {
      absolute = new URL(url, this.#baseUrl);
    } catch {
      throw { kind: "invalid-url", message: `${url} is no URL` };
    }
    // Rust takes either, as the other one lies beside it.
    absolute.pathname = absolute.pathname.replace(/\.listRecords$/, ".watchRecords");
    absolute.searchParams.sort();
    return absolute;
  }
}

function unknownCommand(command: string): never {
  throw new Error(`${command}: there is no such command: give fakeContrailSync the option ipc`);
}
