import type { WireRecord } from "../record.js";
import { copy } from "./copy.js";
import { nextTid } from "./tid.js";
import type { NewWrite, WriteChanges, WriteFailure, WritePayload } from "../wire-writes.js";

/** What a write that names no more than it must is completed with. */
export interface Home {
  /** The watch that it goes through: shows it, though its list may not have it. */
  readonly through?: object | undefined;
  readonly collection?: string | undefined;
  readonly space?: string | undefined;
  /** When it is made, in microseconds since the Unix epoch. */
  readonly time_us?: number | undefined;
}

/** A row on Rust's disk. */
export interface Row {
  readonly nonce: string;
  readonly through: object | undefined;
  readonly account: string | undefined;
  told: WritePayload;
  /** What the list shows of it. */
  record: WireRecord;
  serverValue?: unknown;
  /** The revision at which it changed last. */
  rev: number;
}

/** How long a poll hangs where there is no news, in milliseconds. */
const HANG_MS = 25_000;

/** What Rust does about writes: rows on disk, which outlive pages and handles, and the polls of those who follow them. */
export class FakeWrites {
  /** By id, those that are over included. */
  readonly rows = new Map<number, Row>();
  /** Polls that hang. */
  readonly polls = new Set<() => void>();
  /** Counts changes. */
  #rev: number;
  readonly #before: number;
  #isEnded = false;
  readonly #shown: () => void;

  /**
   * @param shown - called when a list shows something else
   * @param before - numbers that a page may know from before
   */
  constructor(shown: () => void, before = 0) {
    this.#shown = shown;
    this.#before = before;
    this.#rev = before + 1;
  }

  /** The rows that wait, the oldest first. */
  pending(account?: string): WritePayload[] {
    return [...this.rows.values()]
      .filter((row) => !isOver(row) && (account === undefined || row.account === account))
      .map(({ told }) => told);
  }

  put(nonce: string, account: string | undefined, write: NewWrite, home: Home = {}): WritePayload {
    const { did, value, rkey = nextTid() } = write;
    const { collection = home.collection ?? "com.example.chat.message" } = write;
    const { space = home.space, time_us = home.time_us ?? 0 } = write;
    const uri = `at://${did}/${collection}/${rkey}`;
    const record = { uri, did, collection, rkey, value, time_us, cid: null, ...(space && { space }) };
    return this.#make(nonce, account, "put", record, home);
  }

  delete(nonce: string, account: string | undefined, record: WireRecord, home: Home = {}): WritePayload {
    return this.#make(nonce, account, "delete", record, home);
  }

  /** What becomes of a write. */
  settle(id: number, state: WritePayload["state"], error?: WriteFailure, serverValue?: unknown): Row {
    const row = this.rows.get(id);
    if (!row) throw { kind: "not-written", message: `there is no write ${id}` };
    const { error: _, ...told } = row.told;
    const attempts = told.attempts + Number(state === "sending");
    row.told = { ...told, state, attempts, ...(error && { error }) };
    if (serverValue !== undefined) row.serverValue = serverValue;
    this.#changed(row);
    return row;
  }

  retry(id: number): null {
    const row = this.rows.get(id);
    if (row?.told.state !== "failed") throw { kind: "not-written", message: `no write ${id} has failed` };
    this.settle(id, "queued");
    return null;
  }

  /** Whether it is out: not if a sender has it. */
  discard(id: number): boolean {
    const row = this.rows.get(id);
    if (!row || isOver(row)) throw { kind: "not-written", message: `there is no write ${id}` };
    if (row.told.state === "sending") return false;
    this.settle(id, "discarded");
    return true;
  }

  /** Nothing is left: those who follow are told so. */
  end(): void {
    this.#isEnded = true;
    this.rows.clear();
    this.#rev += 1;
    for (const wake of [...this.polls]) wake();
  }

  discardAll(account?: string): number {
    const ids = this.pending(account).map(({ id }) => id);
    for (const id of ids) this.settle(id, "discarded");
    return ids.length;
  }

  /** Answers at once where there is news, and where everything is asked for. */
  async watch(account: string | undefined, after: number): Promise<WriteChanges> {
    const news = () =>
      [...this.rows.values()].filter(
        (row) => row.rev > after && (account === undefined || row.account === account),
      );
    // What is over by now is told as well, as far as it is known: who had it before would not know why it is gone.
    if (after === 0) return { rev: this.#rev, whole: true, writes: copy(news().map(told)) };
    const until = Date.now() + HANG_MS;
    while (news().length === 0 && Date.now() < until && !this.#isEnded) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(wake, until - Date.now());
        const { polls } = this;
        function wake() {
          clearTimeout(timer);
          polls.delete(wake);
          resolve();
        }
        polls.add(wake);
      });
    }
    return { rev: this.#rev, whole: this.#isEnded, writes: copy(news().map(told)) };
  }

  /** `records` of a watch with what waits for the server, the newest write of each first. */
  over(records: readonly WireRecord[], watch?: object): WireRecord[] {
    const known = new Set(records.map(({ uri }) => uri));
    const shown = new Map<string, WireRecord>();
    for (const row of this.rows.values()) {
      if (isOver(row) || (row.through !== watch && row.through && !known.has(row.told.uri))) continue;
      const { id, action, state, error } = row.told;
      const failed = state === "failed" && { kind: "internal", message: "", ...error };
      shown.set(row.told.uri, {
        ...row.record,
        write: id,
        optimistic: failed ? "failed" : "pending",
        ...(failed && { optimisticError: { name: failed.kind, message: failed.message } }),
        ...(action === "delete" && { deleted: true }),
        ...(row.serverValue !== undefined && { serverValue: row.serverValue }),
      });
    }
    if (shown.size === 0) return [...records];
    const added = [...shown.values()].filter(({ uri }) => !known.has(uri));
    return [...added.reverse(), ...records.map((it) => shown.get(it.uri) ?? it)];
  }

  #make(
    nonce: string,
    account: string | undefined,
    action: WritePayload["action"],
    record: WireRecord,
    { through }: Home,
  ): WritePayload {
    const known = [...this.rows.values()].find((row) => row.nonce === nonce);
    if (known) return copy(known.told);
    const { uri, did, collection, rkey, space } = record;
    const id = this.#before + this.rows.size + 1;
    const told: WritePayload = {
      ...{ id, uri, did, collection, rkey, action },
      ...(space !== undefined && { space }),
      ...{ state: "queued", attempts: 0, queuedAt: 1_700_000_000_000 + id },
    };
    const row = { nonce, through, account, told, record, rev: 0 };
    this.rows.set(id, row);
    this.#changed(row);
    return copy(told);
  }

  #changed(row: Row): void {
    row.rev = ++this.#rev;
    this.#shown();
    for (const wake of [...this.polls]) wake();
  }
}

/** Whether it has left the queue. */
export function isOver({ told }: Pick<Row, "told">): boolean {
  return told.state === "confirmed" || told.state === "discarded";
}

function told(row: Row): WritePayload {
  return row.told;
}
