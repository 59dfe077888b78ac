import { MAX_EDITS } from "./edits.js";
import type { Left } from "./outbox.js";

/** Most watches of which something is kept. */
const MAX_LEFT = 256;

const NOTHING: Left = { known: [], waiting: [] };

/** What this page let go of, by watch, the last one last. */
const kept = new Map<string, Left>();

/**
 * Keeps what a page knows of a watch's edits for whoever follows that watch next. Of several stores that follow one watch
 * the last to leave knows what there is.
 *
 * @param key - the watch's, see `watchKey`
 */
export function leave(key: string, { watch, known, unsaid = [], waiting }: Left): void {
  const earlier = take(key);
  const all = [...earlier.waiting, ...waiting].slice(-MAX_EDITS);
  if (known.length + all.length > 0) kept.set(key, { watch, known, unsaid, waiting: all });
  for (const oldest of kept.keys()) {
    if (kept.size <= MAX_LEFT) return;
    kept.delete(oldest);
  }
}

/** Takes what was left of a watch. */
export function take(key: string): Left {
  const left = kept.get(key) ?? NOTHING;
  kept.delete(key);
  return left;
}

/** Forgets what was left of all watches. */
export function forgetAll(): void {
  kept.clear();
}
