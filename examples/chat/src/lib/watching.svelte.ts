import type { Transport, WatchStore } from "tauri-plugin-contrail-sync-api";
import { type MessageBody, type MessageRecord, postMessage, type Room, watchMessages } from "./chat.js";
import { Outbox } from "./outbox.js";
import { type Person, person } from "./people.js";
import { absent, follow, NOTHING, without } from "./snapshot.js";

/** One person signed in to one room: their store over the chosen transport, and what it shows. */
export class Watching {
  readonly me: Person;
  readonly #room: Room;
  #store!: WatchStore<MessageBody>;
  #outbox!: Outbox;
  /** What the store before this one had not sent, as far as this one does not show it yet. */
  #carried: readonly MessageRecord[] = [];
  /** How to reach the appview. */
  transport = $state<Transport>("auto");
  snapshot = $state.raw(NOTHING);
  /** Was live once: whoever is refused after that had been a member. */
  member = $state(false);

  constructor(room: Room, did: string, transport: Transport) {
    this.#room = room;
    this.me = person(did);
    this.reach(transport);
  }

  /** Goes on over `transport`, with a store of its own. */
  reach(transport: Transport): void {
    this.end();
    this.transport = transport;
    const store = watchMessages(this.#room, this.me.did, transport);
    const outbox = new Outbox(this.me.did, store, async (...message) => {
      await postMessage(...message);
      // A stream tells of it by itself. If the list is not to be had now, it will be later.
      if (this.#room.kind === "public") store.refresh().catch(() => {});
    });
    [this.#store, this.#outbox] = [store, outbox];
    this.#carried = this.snapshot.records.filter((it) => it.optimistic);
    outbox.carry(this.#carried);
    store.subscribe((next) => {
      this.member ||= next.status === "live";
      this.#carried = absent(this.#carried, next.records);
      this.snapshot = follow(this.snapshot, next, this.#carried);
      outbox.see(next.records);
    });
    store.start();
  }

  /** Tries once more after the watch was closed. */
  again(): void {
    this.#store.start();
  }

  /** Loads some older messages. Rejects with a `WatchError`. */
  earlier(): Promise<void> {
    return this.#store.loadMore();
  }

  /** Sends a message, which shows at once. */
  send(text: string, replyTo?: string): void {
    this.#outbox.write(text, replyTo);
  }

  /** Sends a failed message once more. */
  resend(message: MessageRecord): void {
    this.#outbox.again(message);
  }

  /** Forgets a failed message. */
  discard(message: MessageRecord): void {
    this.#outbox.discard(message);
    this.#carried = absent(this.#carried, [message]);
    this.snapshot = without(this.snapshot, message);
  }

  /** Ends for good. */
  end(): void {
    this.#store?.destroy();
  }
}
