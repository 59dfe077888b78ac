import type { Common } from "./bindings/Common.js";
import type { PackedRecord } from "./bindings/PackedRecord.js";

/** A record as a page holds it. What the query hydrated stands beside the named fields, under its own names. */
export type WireRecord = Omit<PackedRecord, "cid"> & {
  /** `at://<did>/<collection>/<rkey>`. */
  uri: string;
  did: string;
  collection: string;
  /** Content hash, where the server knows one. */
  cid: string | null;
};

/** A record as it was before it travelled. `packed` itself becomes it. */
export function unpack(packed: PackedRecord, common: Common): WireRecord {
  const record = Object.assign(packed, common) as WireRecord;
  record.cid ??= null;
  record.uri = `at://${record.did}/${record.collection}/${record.rkey}`;
  return record;
}
