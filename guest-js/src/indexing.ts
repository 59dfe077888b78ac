import { identity, type Index } from "./identity.js";
import type { WireRecord } from "./record.js";

/** Records that are indexed in one go, which takes some milliseconds. */
const SLICE = 4096;

/** An index of `records`, made in slices, so that no frame is late. */
export async function indexOf(records: readonly WireRecord[]): Promise<Index> {
  const index = new Map<string, WireRecord>();
  for (const record of records) {
    index.set(identity(record), record);
    if (index.size % SLICE === 0) await new Promise((resolve) => setTimeout(resolve));
  }
  return index;
}
