import type { SentWrite } from "../bindings/SentWrite.js";
import { isTaken } from "../pending.js";
import type { FakeWrite } from "./api.js";
import { ServedList } from "./fake-list.js";
import type { FakeRust } from "./fake-rust.js";
import { isOver, isShown, type Row } from "./fake-writes.js";
import { outcomeOf } from "./outcome.js";

/** What becomes of writes: sends them by the page's own functions, and notes which of them the lists show. */
export class FakeOutbox {
  readonly #rust: FakeRust;
  readonly #settled: () => Promise<void>;
  /** Attempts that a page has not answered. */
  readonly #attempts = new Set<Promise<void>>();
  /** Accounts that opened a watch since the last logout: only their writes are sent. */
  readonly #signedIn = new Set<string | undefined>();

  /** @param settled - fulfilled once every store shows what there is */
  constructor(rust: FakeRust, settled: () => Promise<void>) {
    this.#rust = rust;
    this.#settled = settled;
  }

  /** The writes that are not over, the oldest first. */
  get writes(): FakeWrite[] {
    return [...this.#rust.writes.rows.values()].filter((it) => !isOver(it)).map((it) => this.#handle(it));
  }

  /** Fulfilled once every sender has answered that was asked. */
  async answered(): Promise<void> {
    while (this.#attempts.size > 0) await Promise.all(this.#attempts);
  }

  /** A watch of this account was opened. */
  signIn(account: string | undefined): void {
    this.#signedIn.add(account);
  }

  /** All tickets are forgotten. */
  signOut(): void {
    this.#signedIn.clear();
    for (const { told } of this.#rust.writes.rows.values()) {
      const error = { kind: "signed-out", message: "the account has signed out" };
      if (told.state === "sending") this.#rust.writes.settle(told.id, "queued", error);
    }
  }

  /** Sends what may be sent. */
  send(): void {
    const busy = new Set<string>();
    for (const row of this.#rust.writes.rows.values()) {
      if (isTaken(row.told.state) || isOver(row)) continue;
      // Writes of one record go one after the other.
      const record = JSON.stringify([row.account, row.told.space, row.told.uri]);
      const isFirst = !busy.has(record);
      busy.add(record);
      if (isFirst && row.told.state === "queued") this.#try(row);
    }
  }

  /** Notes which writes the lists show. */
  check(): void {
    for (const row of this.#rust.writes.rows.values()) {
      if (row.told.state !== "sent" && row.told.state !== "unconfirmed") continue;
      const list = listOf(row);
      if (!list?.isReached || !isShown(row, list.find(row.told.uri))) continue;
      this.#rust.writes.settle(row.told.id, "confirmed");
    }
  }

  #try(row: Row): void {
    if (row.sentBy !== "page" || !this.#signedIn.has(row.account)) return;
    // The window that came last is the likeliest to be awake.
    const handle = listOf(row)?.senders(row.account).pop();
    if (handle === undefined) return;
    const attempt = this.#attempt(row, handle).finally(() => {
      this.#attempts.delete(attempt);
      this.check();
      this.#sendLater(row);
    });
    this.#attempts.add(attempt);
  }

  /** What waited for this one may go; this one waits for `online()`, or a retry. */
  #sendLater({ told }: Row): void {
    if (told.state !== "queued") this.send();
  }

  async #attempt(row: Row, handle: number): Promise<void> {
    const { id } = this.#rust.writes.settle(row.told.id, "sending").told;
    const { error, outcome } = await this.#rust.askToSend(handle, sentWrite(row));
    if (row.told.state !== "sending") return;
    const ended = outcomeOf(outcome, error);
    row.cid = ended.cid;
    this.#rust.writes.settle(id, ended.state, ended.error);
  }

  #handle(row: Row): FakeWrite {
    const { id, uri, rkey } = row.told;
    const settle = (
      ...how: Parameters<FakeRust["writes"]["settle"]> extends [number, ...infer Rest] ? Rest : never
    ) => {
      if (isOver(row)) throw new Error(`the write ${id} is ${row.told.state} already`);
      this.#rust.writes.settle(id, ...how);
      this.check();
      this.send();
      return this.#settled();
    };
    return {
      ...{ id, uri, rkey },
      // One that was not tried yet may be changed.
      get action() {
        return row.told.action;
      },
      get value() {
        return row.record.value as Record<string, unknown>;
      },
      get state() {
        return row.told.state;
      },
      sending: () => settle("sending"),
      sent: () => settle("sent"),
      confirm: () => {
        const list = listOf(row);
        if (list && !list.isReached) throw new Error(`${list.url} cannot show it: it is not live`);
        if (!isOver(row)) list?.carryOut(row.told.action, row.record);
        return settle("confirmed");
      },
      refuse: (error, serverValue) => settle("failed", error, serverValue),
      later: (error) => settle("queued", error),
    };
  }
}

function listOf({ through }: Row): ServedList | undefined {
  return through instanceof ServedList ? through : undefined;
}

function sentWrite(row: Row): SentWrite {
  const { id, action, uri, did, collection, rkey, space, attempts } = row.told;
  return {
    ...{ id, key: row.nonce, action, uri, did, collection, rkey, attempt: attempts },
    ...(space !== undefined && { space }),
    ...(action === "put" && { value: row.record.value }),
    ...(row.swap !== undefined && { swap: row.swap }),
  };
}
