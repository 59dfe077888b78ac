// A small chat as it would be written for the web client. Switched to Tauri by its imports alone: there the first line
// named the web client's package, and `createSqliteCache` was its `createIndexedDBCache`.
import { createWatchStore, type WatchRecord, type WatchStore, createSqliteCache } from "../index.js";

interface Message {
  text: string;
}

/** Posts a message; rejects if that failed. */
export type Post = (rkey: string, message: Message) => Promise<void>;

export interface Chat {
  store: WatchStore<Message>;
  send(rkey: string, text: string): Promise<void>;
  discard(rkey: string): void;
  leave(): void;
}

export function chat(list: HTMLElement, did: string, post: Post): Chat {
  const store = createWatchStore<Message>({
    url: "/xrpc/com.example.message.watchRecords?spaceUri=ats://did:plc:alice/com.example.space/one",
    transport: "sse",
    mintTicket: async () => "a-ticket",
    cache: createSqliteCache(),
    cacheMaxRecords: 100,
    logger: console,
  });

  const row = ({ rkey, value, optimistic, optimisticError }: WatchRecord<Message>) => {
    const item = document.createElement("li");
    item.id = rkey;
    item.className = optimistic ?? "sent";
    item.textContent = optimisticError ? `${value.text} (${optimisticError.message})` : value.text;
    return item;
  };

  const unsubscribe = store.subscribe(({ records, status, error }) => {
    list.dataset["status"] = status;
    list.title = error?.message ?? "";
    list.replaceChildren(...records.map(row));
  });
  store.start();

  return {
    store,
    async send(rkey, text) {
      store.addOptimistic({ rkey, did, value: { text } });
      try {
        await post(rkey, { text });
      } catch (err) {
        store.markFailed(rkey, err);
      }
    },
    discard: (rkey) => store.removeOptimistic(rkey),
    leave() {
      unsubscribe();
      store.stop();
    },
  };
}
