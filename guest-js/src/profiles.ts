import { equal } from "./identity.js";
import type { Profiles } from "./types.js";

/** `next` with the objects of `old` where they say the same; `old` itself where all do. */
export function sameProfiles(old: Profiles, next: Profiles): Profiles {
  if (old === next) return old;
  const dids = Object.keys(next);
  let isSame = dids.length === Object.keys(old).length;
  const kept: Record<string, Profiles[string]> = {};
  for (const did of dids) {
    const isKept = equal(old[did], next[did]);
    kept[did] = (isKept ? old : next)[did];
    isSame &&= isKept;
  }
  return isSame ? old : kept;
}
