import type { WireRecord } from "../record.js";

/** A record as Rust sends it; `version` tells edits apart, `time` decides the order. */
export function record(rkey: string, version = 0, time = 0): WireRecord {
  const did = "did:plc:alice";
  const collection = "com.example.chat.message";
  return {
    uri: `at://${did}/${collection}/${rkey}`,
    cid: null,
    value: { text: `${rkey} v${version}` },
    did,
    collection,
    rkey,
    time_us: time,
    space: "ats://did:plc:alice/com.example.space/one",
  };
}

/** `it` as somebody edited it, or made it, before the server knows. */
export function pending(it: WireRecord, version = 1): WireRecord {
  return { ...it, value: { text: `${it.rkey} v${version}` }, optimistic: "pending" };
}

/** The texts of records, in order. */
export function texts(records: readonly { value: unknown }[]): string[] {
  return records.map(({ value }) => (value as { text: string }).text);
}
