import { equal } from "../identity.js";
import type { SentWrite } from "../bindings/SentWrite.js";
import { isTaken } from "../pending.js";
import type { WriteFailure } from "../wire-writes.js";
import type { FakeWrite } from "./api.js";
import { ListedWatch } from "./fake-list.js";
import type { FakeRust } from "./fake-rust.js";
import { isOver, type Row } from "./fake-writes.js";

/** What becomes of writes: sends them by the page's own functions, and notes which of them the lists show. */
export class FakeOutbox {
  readonly #rust: FakeRust;
  readonly #settled: () => Promise<void>;
  /** Attempts that a page has not answered. */
  readonly #attempts = new Set<Promise<void>>();

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

  /** Sends what may be sent. */
  send(): void {
    const busy = new Set<string>();
    for (const row of this.#rust.writes.rows.values()) {
      if (isTaken(row.told.state) || isOver(row)) continue;
      // Writes of one record go one after the other.
      const isFirst = !busy.has(row.told.uri);
      busy.add(row.told.uri);
      if (isFirst && row.told.state === "queued") this.#try(row);
    }
  }

  /** Notes which writes the lists show. */
  check(): void {
    for (const row of this.#rust.writes.rows.values()) {
      if (row.told.state !== "sent" && row.told.state !== "unconfirmed") continue;
      const found = listOf(row)?.find(row.told.uri);
      const isShown = row.told.action === "delete" ? !found : !!found && equal(found.value, row.record.value);
      if (isShown) this.#rust.writes.settle(row.told.id, "confirmed");
    }
  }

  #try(row: Row): void {
    const { through } = row;
    const opens = through instanceof ListedWatch ? [...through.opens] : [];
    const [handle] = opens.find(([, { options }]) => options.sender === "page") ?? [];
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
    const { sent, refused, later } = (outcome ?? {}) as Record<string, unknown>;
    if (refused) this.#rust.writes.settle(id, "failed", refused as WriteFailure, conflict(row, refused));
    else if (error !== undefined) this.#rust.writes.settle(id, "queued", failure("sender", String(error)));
    else if (later) this.#rust.writes.settle(id, "queued", failure("later", "the sender put it off"));
    else if (outcome === undefined || sent) this.#rust.writes.settle(id, "sent");
    else this.#rust.writes.settle(id, "queued", failure("sender", "the sender's answer is no outcome"));
  }

  #handle(row: Row): FakeWrite {
    const { id, action, uri, rkey } = row.told;
    const settle = (
      ...how: Parameters<FakeRust["writes"]["settle"]> extends [number, ...infer Rest] ? Rest : never
    ) => {
      this.#rust.writes.settle(id, ...how);
      this.check();
      this.send();
      return this.#settled();
    };
    return {
      ...{ id, action, uri, rkey },
      value: row.record.value as Record<string, unknown>,
      get state() {
        return row.told.state;
      },
      sending: () => settle("sending"),
      sent: () => settle("sent"),
      confirm: () => {
        listOf(row)?.carryOut(action, row.record);
        return settle("confirmed");
      },
      refuse: (error, serverValue) => settle("failed", error, serverValue),
      later: (error) => settle("queued", error),
    };
  }
}

function listOf({ through }: Row) {
  return through instanceof ListedWatch ? through.list : undefined;
}

/** What the server has, where somebody else was faster. */
function conflict(row: Row, refused: unknown): unknown {
  return (refused as WriteFailure).kind === "conflict" ? listOf(row)?.find(row.told.uri)?.value : undefined;
}

function failure(kind: string, message: string): WriteFailure {
  return { kind, message };
}

function sentWrite(row: Row): SentWrite {
  const { id, action, uri, did, collection, rkey, space, attempts } = row.told;
  const swap = listOf(row)?.find(uri)?.cid;
  return {
    ...{ id, key: row.nonce, action, uri, did, collection, rkey, attempt: attempts },
    ...(space !== undefined && { space }),
    ...(action === "put" && { value: row.record.value }),
    ...(swap && { swap }),
  };
}
