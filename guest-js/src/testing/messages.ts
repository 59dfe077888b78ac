// What the tests of the fake write and read: a list of messages, and stores on it.
import { createWatchStore, pendingWrites, type WatchStore, type WatchStoreOptions } from "../index.js";

export const alice = "did:plc:alice";
export const bob = "did:plc:bob";
export const url = `/xrpc/com.example.message.listRecords?actor=${alice}`;

export interface Message {
  text: string;
  room?: string;
}

export const record = (rkey: string, text = rkey) => ({ rkey, value: { text } });
export const texts = ({ records }: Pick<WatchStore<Message>, "records">) =>
  records.map(({ value }) => value.text);

export type Options = Partial<WatchStoreOptions<Message>>;

export function started(options: Options = {}): WatchStore<Message> {
  const store = createWatchStore<Message>({ url, logger: {}, ...options });
  store.start();
  return store;
}

/** A store that may write, by a sender of which the test says what it does. */
export const writing = (options: Options = {}) =>
  started({ account: alice, sender: { sender: "pds" }, ...options });

export const put = (store: WatchStore<Message>, rkey: string, text: string) =>
  store.put({ did: alice, rkey, value: { text } });

export const states = async () => (await pendingWrites()).map(({ id, state }) => `${id} ${state}`);
