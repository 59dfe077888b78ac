import { equal, identity } from "../identity.js";
import { isGone, isTaken } from "../pending.js";
import type { WireRecord } from "../record.js";
import { copy } from "./copy.js";
import { nextTid } from "./tid.js";
import { micros } from "./view.js";
import type { NewWrite, WriteChanges, WriteFailure, WritePayload } from "../wire-writes.js";

/** A query whose records are written: all watches of it show what was written through one. */
export interface View {
  /** What the server has of a record. */
  find?(uri: string): WireRecord | undefined;
}

/** What a write that names no more than it must is completed with. */
export interface Home {
  /** The query that it goes through. */
  readonly through?: View | undefined;
  /** Who sends it: `page`, or the name of a sender in Rust. */
  readonly sentBy?: string | undefined;
  readonly collection?: string | undefined;
  readonly space?: string | undefined;
  /** When it is made, in microseconds since the Unix epoch. */
  readonly time_us?: number | undefined;
}

/** A row on Rust's disk. */
export interface Row {
  readonly account: string | undefined;
  readonly sentBy: string | undefined;
  /** The key of the page's call. One that takes the place of another keeps the other's among `nonces`. */
  nonce: string;
  readonly nonces: Set<string>;
  through: View | undefined;
  told: WritePayload;
  /** What it writes. */
  record: WireRecord;
  /** The `cid` of the version that it changes, where that is known. */
  swap: string | undefined;
  /** It changes what the write before it makes, whose `cid` is not known yet. */
  isOverLast: boolean;
  /** The `cid` that the server gave it, where it told. */
  cid?: string | undefined;
  /** Bodies that the server had before, which a list that is late may still have. */
  readonly earlier: unknown[];
  serverValue?: unknown;
  /** It ends with the attempt that is under way, for this reason if for one, should that fail. */
  ends?: { error?: WriteFailure };
  /** The revision at which it changed last. */
  rev: number;
  /** What it deletes was put by a write before it. */
  wasPut: boolean;
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
  /** It is over; and when the one begins that comes after it. */
  #ended: Promise<void> | undefined;
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
    const { space = home.space } = write;
    const uri = `at://${did}/${collection}/${rkey}`;
    const made = write.time_us === undefined ? home.time_us : micros(write.time_us);
    const time_us = home.through?.find?.(uri)?.time_us ?? made ?? 0;
    const record = { uri, did, collection, rkey, value, time_us, cid: null, ...(space && { space }) };
    return this.#make(nonce, account, "put", record, home);
  }

  delete(nonce: string, account: string | undefined, record: WireRecord, home: Home = {}): WritePayload {
    return this.#make(nonce, account, "delete", record, home);
  }

  /** What becomes of a write. */
  settle(id: number, state: WritePayload["state"], error?: WriteFailure, serverValue?: unknown): Row {
    const row = this.rows.get(id);
    if (!row) throw unknown();
    const next = state === "sent" ? this.#after(row) : undefined;
    if (next?.isOverLast) Object.assign(next, { isOverLast: false, swap: row.cid });
    // The next one is what to wait for.
    if (next) return this.settle(id, "confirmed");
    if (row.ends && (state === "queued" || state === "failed")) return this.#end(row, row.ends.error);
    const { error: _, ...told } = row.told;
    const attempts = told.attempts + Number(state === "sending");
    row.told = { ...told, state, attempts, ...(error && { error }) };
    row.serverValue = serverValue;
    this.#changed(row);
    return row;
  }

  /** Sends one again: one that failed, or one that waits without delay. */
  retry(id: number, account?: string): null {
    const row = this.#own(id, account);
    if (row.told.state !== "failed") return null;
    if (row.told.error?.kind === "conflict") {
      // It takes the place of whatever is there.
      row.swap = undefined;
      const there = row.through?.find?.(row.told.uri);
      if (there) row.earlier.push(there.value);
    }
    row.told = { ...row.told, queuedAt: Date.now() };
    this.settle(id, "queued");
    return null;
  }

  /** What has become of it: a sender may have it at the moment, or the server already. */
  discard(id: number, account?: string): WritePayload {
    const row = this.rows.get(id);
    if (!row || row.account !== account) throw unknown();
    if (!isOver(row)) this.#giveUp(row);
    return copy(row.told);
  }

  /** An account may not see the records of a query any more. */
  lose(through: View, account: string | undefined): void {
    const error = { kind: "access-lost", message: "the account may not see these records any more" };
    for (const row of this.#waiting()) {
      if (row.through === through && row.account === account) this.#giveUp(row, error);
    }
  }

  /** Nothing is left: those who follow are told so when there is somebody whom they can ask next. */
  end(next: Promise<void>): void {
    this.#ended = next;
    this.rows.clear();
    this.#rev += 1;
    for (const wake of [...this.polls]) wake();
  }

  discardAll(account?: string): number {
    const rows = this.#waiting().filter(
      (row) => !isTaken(row.told.state) && (account === undefined || row.account === account),
    );
    for (const row of rows) this.#giveUp(row);
    return rows.length;
  }

  /** Answers at once where there is news, and where everything is asked for. */
  async watch(account: string | undefined, after: number): Promise<WriteChanges> {
    const news = () =>
      [...this.rows.values()].filter(
        (row) => row.rev > after && (account === undefined || row.account === account),
      );
    // What is over by now is told as well, as far as it is known: who had it before would not know why it is gone.
    if (after === 0 && !this.#ended) return { rev: this.#rev, whole: true, writes: copy(news().map(told)) };
    const until = Date.now() + HANG_MS;
    while (news().length === 0 && Date.now() < until && !this.#ended) {
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
    await this.#ended;
    return { rev: this.#rev, whole: this.#ended !== undefined, writes: copy(news().map(told)) };
  }

  /**
   * `records` of a watch with what waits for the server: each as its last write leaves it, and as failed if one of them has.
   *
   * @param isMine - whether the watch shows this write
   * @param through - the query of the watch, which shows what it does not have if it was written through it
   */
  over(
    records: readonly WireRecord[],
    through?: View,
    isMine: (row: Row) => boolean = () => true,
  ): WireRecord[] {
    const known = new Map(records.map((it) => [identity(it), it]));
    const shown = new Map<string, WireRecord>();
    for (const [key, chain] of this.#chains(isMine)) {
      const base = known.get(key);
      const adds = chain.some((row) => !row.through || row.through === through);
      const isDeletion = !chain.some(({ told }) => told.action === "put") && !chain[0]!.wasPut;
      if (base || (adds && !isDeletion)) shown.set(key, overlay(chain, base));
    }
    if (shown.size === 0) return [...records];
    const added = [...shown].filter(([key]) => !known.has(key)).map(([, it]) => it);
    return [...added.reverse(), ...records.map((it) => shown.get(identity(it)) ?? it)];
  }

  /** The writes of each record that are not over, in order. */
  #chains(isMine: (row: Row) => boolean): Map<string, Row[]> {
    const chains = new Map<string, Row[]>();
    for (const row of this.#waiting()) {
      if (!isMine(row)) continue;
      const key = identity(row.record);
      chains.set(key, [...(chains.get(key) ?? []), row]);
    }
    return chains;
  }

  #waiting(): Row[] {
    return [...this.rows.values()].filter((row) => !isOver(row));
  }

  #chainOf({ account, record }: Pick<Row, "account" | "record">): Row[] {
    const key = identity(record);
    return this.#waiting().filter((it) => it.account === account && identity(it.record) === key);
  }

  #after(row: Row): Row | undefined {
    return this.#chainOf(row).find(({ told }) => told.id > row.told.id);
  }

  /** A page decides about the writes of the accounts whose watches it has. */
  #own(id: number, account: string | undefined): Row {
    const row = this.rows.get(id);
    if (!row || isOver(row) || row.account !== account) throw unknown();
    return row;
  }

  #giveUp(row: Row, error?: WriteFailure): void {
    const { id, state } = row.told;
    if (state === "sending") row.ends = error ? { error } : {};
    // The server has it: there is nothing to take back.
    else if (isTaken(state)) this.settle(id, "confirmed");
    else this.#end(row, error);
  }

  /** It is taken back. What comes after it changes what it would have changed. */
  #end(row: Row, error?: WriteFailure): Row {
    const next = this.#after(row);
    if (next?.isOverLast) Object.assign(next, { swap: row.swap, isOverLast: row.isOverLast });
    delete row.ends;
    return this.settle(row.told.id, "discarded", error);
  }

  #make(
    nonce: string,
    account: string | undefined,
    action: WritePayload["action"],
    record: WireRecord,
    { through, sentBy }: Home,
  ): WritePayload {
    const known = [...this.rows.values()].find((row) => row.nonce === nonce || row.nonces.has(nonce));
    if (known) return copy(known.told);
    const chain = this.#chainOf({ account, record });
    const last = chain[chain.length - 1];
    const isUntried = last?.told.state === "queued" && last.told.attempts === 0;
    if (last && isUntried && last.sentBy === sentBy)
      return this.#replace(last, nonce, action, record, through);
    const { uri, did, collection, rkey, space } = record;
    const id = this.#before + this.rows.size + 1;
    const told: WritePayload = {
      ...{ id, uri, did, collection, rkey, action },
      ...(space !== undefined && { space }),
      ...{ state: "queued", attempts: 0, queuedAt: Date.now() },
    };
    const there = through?.find?.(uri);
    const isOverLast = last !== undefined && !isTaken(last.told.state);
    const row: Row = {
      ...{ nonce, nonces: new Set<string>(), through, sentBy, account, told, record, isOverLast, rev: 0 },
      swap: last ? (isOverLast ? undefined : last.cid) : (there?.cid ?? undefined),
      earlier: last ? [...last.earlier, last.record.value] : [],
      wasPut: chain.some((it) => it.wasPut || it.told.action === "put"),
    };
    this.rows.set(id, row);
    for (const { told } of chain) if (isTaken(told.state)) this.settle(told.id, "confirmed");
    this.#changed(row);
    return copy(told);
  }

  /** Changes one in its place that no sender has seen. It keeps what it was made over. */
  #replace(
    row: Row,
    nonce: string,
    action: WritePayload["action"],
    record: WireRecord,
    through: View | undefined,
  ): WritePayload {
    row.nonces.add(row.nonce);
    row.wasPut ||= row.told.action === "put";
    Object.assign(row, { nonce, through, record: { ...record, time_us: row.record.time_us } });
    row.told = { ...row.told, action, queuedAt: Date.now() };
    this.#changed(row);
    return copy(row.told);
  }

  #changed(row: Row): void {
    row.rev = ++this.#rev;
    this.#shown();
    for (const wake of [...this.polls]) wake();
  }
}

/** Whether it has left the queue. */
export function isOver({ told }: Pick<Row, "told">): boolean {
  return isGone(told.state);
}

/** Whether this is what a write that was sent has made of its record, or what came after that. */
export function isShown({ told, record, swap, cid, earlier }: Row, found: WireRecord | undefined): boolean {
  if (told.action === "delete" && !found) return true;
  if (!found) return false;
  const differs = found.cid !== null && swap !== undefined && found.cid !== swap;
  if (told.action === "delete") return differs;
  const isMine = equal(found.value, record.value) || (cid !== undefined && cid === found.cid);
  const isNew = swap === undefined && !earlier.some((it) => equal(it, found.value));
  return isMine || differs || isNew;
}

/** What its writes make of a record, which the server has as `base` if it has one. */
function overlay(chain: readonly Row[], base: WireRecord | undefined): WireRecord {
  const last = chain[chain.length - 1]!;
  const failed = chain.find(({ told }) => told.state === "failed");
  const { kind, message } = failed?.told.error ?? { kind: "internal", message: "" };
  const isDeletion = last.told.action === "delete";
  const theirs = failed?.serverValue ?? base?.value;
  return {
    ...(base ?? last.record),
    ...(!isDeletion && { value: last.record.value }),
    write: (failed ?? last).told.id,
    optimistic: failed ? "failed" : "pending",
    ...(failed && { optimisticError: { name: kind, message } }),
    ...(isDeletion && { deleted: true }),
    ...(failed && kind === "conflict" && theirs !== undefined && { serverValue: theirs }),
  };
}

function unknown(): unknown {
  return { kind: "not-written", message: "there is no such write" };
}

function told(row: Row): WritePayload {
  return row.told;
}
