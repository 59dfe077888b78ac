import {
  type PendingWrite,
  type Transport,
  type WatchStore,
  watchWrites,
} from "tauri-plugin-contrail-sync-api";
import { type MessageBody, type MessageRecord, type Room, watchMessages } from "./chat.js";
import { type Person, person } from "./people.js";
import { follow, NOTHING, without } from "./snapshot.js";
import { edited, hasNews, newMessage, waiting } from "./writes.js";

/** One person signed in to one room: their store over the chosen transport, and what it shows. */
export class Watching {
  readonly me: Person;
  readonly room: Room;
  #store!: WatchStore<MessageBody>;
  readonly #endWrites: () => void;
  #writes: readonly PendingWrite[] = [];
  /** How to reach the appview. */
  transport = $state<Transport>("auto");
  snapshot = $state.raw(NOTHING);
  /** Was live once: whoever is refused after that had been a member. */
  member = $state(false);
  /** How many writes the server does not have yet. */
  waiting = $state(0);

  constructor(room: Room, did: string, transport: Transport) {
    this.room = room;
    this.me = person(did);
    this.reach(transport);
    this.#endWrites = watchWrites({ account: did }, (writes) => this.#heed(writes));
  }

  /** Goes on over `transport`, with a store of its own. */
  reach(transport: Transport): void {
    this.#store?.destroy();
    this.transport = transport;
    const store = watchMessages(this.room, this.me.did, transport);
    this.#store = store;
    store.subscribe((next) => {
      this.member ||= next.status === "live";
      this.snapshot = follow(this.snapshot, next);
    });
    store.start();
  }

  /** Tries once more after the watch was closed. */
  again(): void {
    this.#store.start();
  }

  /** Tries now, not when the wait is over; resolves once it is known what came of it, which the snapshot says. */
  async hurry(): Promise<void> {
    await this.#store.refresh().catch(() => {});
  }

  /** Loads some older messages. Rejects with a `WatchError`. */
  earlier(): Promise<void> {
    return this.#store.loadMore();
  }

  /** Writes a message, which shows at once and is sent when it can be. Rejects with a `WatchError` if it is not kept. */
  async send(text: string, replyTo?: string): Promise<void> {
    await this.#store.put(newMessage(this.me.did, text, replyTo));
  }

  /** Gives a message another text. Rejects as {@link send} does. */
  async edit(message: MessageRecord, text: string): Promise<void> {
    await this.#store.put(edited(message, text));
  }

  /** Deletes a message. Rejects as {@link send} does. */
  async delete({ rkey, did }: MessageRecord): Promise<void> {
    await this.#store.delete(rkey, did);
  }

  /** Sends once more what failed. */
  resend(message: MessageRecord): void {
    // What becomes of it shows in the list.
    this.#store
      .writeOf(message)
      ?.retry()
      .catch(() => {});
  }

  /** Takes back what failed. Rejects with a `WatchError`. */
  async discard(message: MessageRecord): Promise<void> {
    await this.#store.writeOf(message)?.discard();
    // Of a list that is still to come, what stays on screen meanwhile is not the store's.
    const isThere = this.#store.records.some(({ uri }) => uri === message.uri);
    if (!isThere) this.snapshot = without(this.snapshot, message);
  }

  /** Ends for good. */
  end(): void {
    this.#endWrites();
    this.#store.destroy();
  }

  #heed(writes: readonly PendingWrite[]): void {
    const isNew = hasNews(this.#writes, writes);
    this.#writes = writes;
    this.waiting = waiting(writes);
    // A stream tells of it by itself. If the list is not to be had now, it will be later.
    if (isNew && this.room.kind === "public") this.#store.refresh().catch(() => {});
  }
}
