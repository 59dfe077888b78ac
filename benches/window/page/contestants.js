import { createWatchStore } from "tauri-plugin-contrail-sync-api";

/**
 * Three ways to follow a watch. Each opens `url`, calls `listener({ records, live, changed? })` at every change and
 * gives what closes it. `records` is an array in order, or `floor`'s Map; `changed`, where a contestant knows it, what
 * changed since the last call.
 */
export const contestants = { ours, naive, floor };

export function ours(url, listener, options = { cache: false }) {
  const store = createWatchStore({ url, ...options });
  store.subscribe(({ records, status }) => listener({ records, live: status === "live" }));
  store.start();
  return () => store.destroy();
}

/** What one writes by hand: the snapshot is shown once it is whole, then every event sorts the list and shows it. */
function naive(url, listener) {
  const known = new Map();
  const source = new EventSource(url);
  const record = ({ data }) => {
    const { record } = JSON.parse(data);
    known.set(record.uri, record);
    return record;
  };
  const show = (changed) => listener({ records: [...known.values()].sort(newestFirst), live: true, changed });
  source.addEventListener("snapshot.record", record);
  source.addEventListener("snapshot.end", () => show([]));
  source.addEventListener("record.created", (event) => show([record(event)]));
  return () => source.close();
}

/** The least that has to be done: no order, one call per chunk. */
function floor(url, listener) {
  const known = new Map();
  const leaving = new AbortController();
  let rest = "";
  let live = false;
  const take = (chunk) => {
    const events = (rest + chunk).split("\n\n");
    rest = events.pop();
    const changed = [];
    for (const event of events) {
      const data = event.indexOf("\ndata: ");
      if (data < 0) continue;
      if (event.startsWith("event: snapshot.end")) live = true;
      const { record } = JSON.parse(event.slice(data + 7));
      if (!record) continue;
      known.set(record.uri, record);
      changed.push(record);
    }
    listener({ records: known, live, changed });
  };
  const read = async () => {
    const response = await fetch(url, { signal: leaving.signal });
    const reader = response.body.getReader();
    const text = new TextDecoder();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      take(text.decode(part.value, { stream: true }));
    }
  };
  read().catch((reason) => leaving.signal.aborted || reportError(reason));
  return () => leaving.abort();
}

function newestFirst(a, b) {
  return b.time_us - a.time_us || (a.rkey < b.rkey ? 1 : a.rkey > b.rkey ? -1 : 0);
}
