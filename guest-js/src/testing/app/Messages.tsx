/** @jsxImportSource react */
// A component as an app has it: it knows nothing of tests.
import { createWatchStore, type WatchStore } from "../../index.js";
import { useWatchStore } from "../../react.js";

interface Message {
  text: string;
}

export const URL = "/xrpc/com.example.message.listRecords?actor=did:plc:alice";

export const messages = (): WatchStore<Message> =>
  createWatchStore<Message>({
    url: URL,
    account: "did:plc:alice",
    sender: async ({ action, rkey, value }) => {
      const body = JSON.stringify({ action, rkey, value });
      const answer = await fetch("https://app.example/write", { method: "POST", body });
      if (answer.status === 409) return { refused: { kind: "conflict", message: "somebody was faster" } };
      if (!answer.ok) throw new Error(answer.statusText);
      return { sent: true };
    },
    logger: {},
  });

export function Messages({ store }: { store: WatchStore<Message> }) {
  const { records, status, error } = useWatchStore(store);
  return (
    <section aria-busy={status !== "live"}>
      {error && <p role="alert">{error.message}</p>}
      <ol>
        {records.map((record) => (
          <li key={record.uri} className={record.optimistic ?? "sent"}>
            {record.value.text}
            {record.optimistic === "failed" && (
              <button onClick={() => void store.writeOf(record)?.retry()}>Try again</button>
            )}
          </li>
        ))}
      </ol>
      <button onClick={() => void store.put({ did: "did:plc:alice", value: { text: "hi" } })}>Say hi</button>
    </section>
  );
}
