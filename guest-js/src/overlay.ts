import { baseOf, identity, type Index, isSameEdit } from "./identity.js";
import type { WireRecord } from "./record.js";

/** How much of a list Rust has told. */
export interface Told {
  readonly records: readonly WireRecord[];
  /** All of it. */
  readonly whole: boolean;
  /** But for the edits that were held: Rust is being told of them again. */
  readonly retelling: boolean;
}

/**
 * What is on screen where `held` stays and Rust has told of another list:
 *
 * - of what was told only the optimistic records show: each in the place of the record it edits, new ones first;
 * - an edit that was held and taken back since gives way to the record it stood for, if that was told;
 * - once a whole list was told without an edit that was held, it goes, and what it took the place of shows again;
 * - while Rust is being told again of edits that were held, these stay as they are. Of writes it need not be told.
 */
export function overlay(held: Index, { records, whole, retelling }: Told): readonly WireRecord[] {
  // By uri alone: an optimistic record need not name the space in which the server has it.
  const edited = new Set<string>();
  for (const record of held.values()) {
    if (record.optimistic && !isRetold(record, retelling)) edited.add(record.uri);
  }
  const arrived = new Map<string, WireRecord>();
  for (const record of records) {
    if (record.optimistic || edited.has(record.uri)) arrived.set(identity(record), record);
  }
  const kept: WireRecord[] = [];
  for (const [key, record] of held) {
    const inPlace = arrived.get(key);
    arrived.delete(key);
    const retold = isRetold(record, retelling);
    const shown = inPlace ? inThePlaceOf(record, inPlace, retold) : without(record, whole && !retold);
    if (shown) kept.push(shown);
  }
  return [...arrived.values(), ...kept];
}

/** Whether Rust may show `held` only once it was told of it again. */
function isRetold(held: WireRecord, retelling: boolean): boolean {
  return retelling && held.write === undefined;
}

function inThePlaceOf(held: WireRecord, told: WireRecord, isRetold: boolean): WireRecord {
  return held.optimistic && (isRetold || isSameEdit(held, told)) ? held : told;
}

/** What shows of a record that was held and not told. */
function without(held: WireRecord, isWhole: boolean): WireRecord | undefined {
  return held.optimistic && isWhole ? baseOf(held) : held;
}
