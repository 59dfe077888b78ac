import type { WatchStore } from "tauri-plugin-contrail-sync-api";
import { MESSAGES, type MessageBody, type MessageRecord, recordKey } from "./chat.js";

type Store = Pick<WatchStore<MessageBody>, "addOptimistic" | "markFailed" | "removeOptimistic">;

/** Stores a message; rejects with a text for people. The same `rkey` again writes the same message. */
export type Post = (did: string, rkey: string, body: MessageBody) => Promise<void>;

/**
 * What one person writes into a store. A message shows at once; seeing it there, pending, is what sends it. So a page
 * that was reloaded, or a store that took the place of another, goes on with what is not sent yet.
 */
export class Outbox {
  readonly #did: string;
  readonly #store: Store;
  readonly #post: Post;
  /** Keys of messages that were taken for sending. */
  readonly #taken = new Set<string>();
  /** One goes after the other, in the order in which they were written. */
  #last: Promise<void> = Promise.resolve();

  constructor(did: string, store: Store, post: Post) {
    this.#did = did;
    this.#store = store;
    this.#post = post;
  }

  /** Shows a new message, which answers the one at `replyTo`. */
  write(text: string, replyTo?: string): void {
    const value: MessageBody = { text, createdAt: new Date().toISOString() };
    if (replyTo) value.reply = { uri: replyTo };
    this.#store.addOptimistic({ rkey: recordKey(), did: this.#did, collection: MESSAGES, value });
  }

  /** Sends a message once more that failed. */
  again(message: MessageRecord): void {
    this.#taken.delete(message.rkey);
    this.#show(message);
  }

  /** Takes a message back that failed. */
  discard({ rkey, did }: MessageRecord): void {
    this.#store.removeOptimistic(rkey, did);
  }

  /** Shows what another store, which has these pending or failed, had not sent. */
  carry(messages: readonly MessageRecord[]): void {
    for (const message of messages.toReversed()) {
      const { rkey, did, optimistic, optimisticError } = message;
      // What failed is pending for a moment there, but not to be sent.
      if (optimistic === "failed") this.#taken.add(rkey);
      this.#show(message);
      if (optimistic === "failed") this.#store.markFailed(rkey, optimisticError, did);
    }
  }

  /** Sends what is pending among the store's records, which come newest first. To be told of each change. */
  see(records: readonly MessageRecord[]): void {
    const mine = records.filter((it) => it.optimistic === "pending" && it.did === this.#did);
    for (const { rkey, did, value } of mine.reverse()) {
      if (this.#taken.has(rkey)) continue;
      this.#taken.add(rkey);
      this.#last = this.#last
        .then(() => this.#post(did, rkey, value))
        .catch((reason: unknown) => this.#store.markFailed(rkey, reason, did));
    }
  }

  /** A record of a list has more than an optimistic one may have. */
  #show({ rkey, did, collection, value, time_us, uri, space }: MessageRecord): void {
    this.#store.addOptimistic({ rkey, did, collection, value, time_us, uri, space });
  }
}
