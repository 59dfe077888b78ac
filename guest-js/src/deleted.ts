import type { WireRecord } from "./record.js";

/** `records` without those that are being deleted: the same array where there are none. */
export function withoutDeleted(records: readonly WireRecord[]): readonly WireRecord[] {
  return records.some(isLeaving) ? records.filter((it) => !isLeaving(it)) : records;
}

/** A deletion that failed leaves its record where it is. */
function isLeaving({ deleted, optimistic }: WireRecord): boolean {
  return deleted === true && optimistic === "pending";
}
