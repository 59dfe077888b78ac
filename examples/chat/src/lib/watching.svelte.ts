import type { Transport, WatchStore } from "tauri-plugin-contrail-sync-api";
import { type MessageBody, watchMessages } from "./chat.js";
import { type Person, person } from "./people.js";
import { follow, NOTHING } from "./snapshot.js";

/** One person signed in to one space: their store over the chosen transport, and what it shows. */
export class Watching {
  readonly me: Person;
  readonly #spaceUri: string;
  #store!: WatchStore<MessageBody>;
  /** How to reach the appview. */
  transport = $state<Transport>("auto");
  snapshot = $state.raw(NOTHING);
  /** Was live once: whoever is refused after that had been a member. */
  member = $state(false);

  constructor(spaceUri: string, did: string, transport: Transport) {
    this.#spaceUri = spaceUri;
    this.me = person(did);
    this.reach(transport);
  }

  /** Goes on over `transport`, with a store of its own. */
  reach(transport: Transport): void {
    this.end();
    this.transport = transport;
    this.#store = watchMessages(this.#spaceUri, this.me.did, transport);
    this.#store.subscribe((next) => {
      this.member ||= next.status === "live";
      this.snapshot = follow(this.snapshot, next);
    });
    this.#store.start();
  }

  /** Tries once more after the watch was closed. */
  again(): void {
    this.#store.start();
  }

  /** Ends for good. */
  end(): void {
    this.#store?.destroy();
  }
}
