import type { Common } from "../bindings/Common.js";
import type { PackedRecord } from "../bindings/PackedRecord.js";
import type { WireRecord } from "../record.js";

/** What all `records` share, and each of them without that and without its URI: as Rust tells them. */
export function pack(records: readonly WireRecord[]): { common: Common; packed: PackedRecord[] } {
  const common: Common = {};
  for (const name of ["did", "collection", "space"] as const) {
    const value = records[0]?.[name];
    if (value !== undefined && records.every((it) => it[name] === value)) common[name] = value;
  }
  const packed = records.map((record) => {
    const left = Object.entries(record).filter(
      ([name, value]) => name !== "uri" && !(name in common) && (name !== "cid" || value !== null),
    );
    return Object.fromEntries(left) as unknown as PackedRecord;
  });
  return { common, packed };
}
