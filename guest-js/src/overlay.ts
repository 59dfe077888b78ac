import { identity, type Index } from "./identity.js";
import type { WireRecord } from "./record.js";

/**
 * What is on screen where `held` stays and Rust has `told` of another list:
 *
 * - of what was told only the optimistic records show: each in the place of the record it edits, new ones first;
 * - an edit that was held and taken back since gives way to the record it stood for, if that was told;
 * - a new record that was held and is optimistic goes once a `whole` list was told without it; a mere edit, which has
 *   the cid of the record it stands for, does not.
 */
export function overlay(held: Index, told: readonly WireRecord[], whole: boolean): readonly WireRecord[] {
  // By uri alone: an optimistic record need not name the space in which the server has it.
  const edited = new Set<string>();
  for (const { optimistic, uri } of held.values()) {
    if (optimistic) edited.add(uri);
  }
  const arrived = new Map<string, WireRecord>();
  for (const record of told) {
    if (record.optimistic || edited.has(record.uri)) arrived.set(identity(record), record);
  }
  const kept: WireRecord[] = [];
  for (const [key, record] of held) {
    const inPlace = arrived.get(key);
    arrived.delete(key);
    const gone = whole && record.optimistic && !record.cid;
    if (inPlace) kept.push(inPlace);
    else if (!gone) kept.push(record);
  }
  return [...arrived.values(), ...kept];
}
