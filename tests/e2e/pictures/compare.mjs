// Whether a picture is still what it was.
import pixelmatch from "pixelmatch";
import { blank, decode, encode } from "./png.mjs";

/** How much a pixel may differ, from 0 to 1: two or three of the 256 steps of a grey. Smoothed edges are let be. */
const THRESHOLD = 0.01;
/** So many pixels may. */
const TOLERATED = 8;

/**
 * How many pixels of a picture are not what they were, and a PNG file that shows which; `null` if it is the same. What lies
 * within `boxes` is not looked at.
 */
export function difference(before, after, boxes) {
  const [old, now] = [decode(before), decode(after)];
  const { width, height } = now;
  if (old.width !== width || old.height !== height) return { count: width * height, png: after };
  for (const box of boxes) [old, now].forEach((it) => hide(it, box));
  const shown = blank(width, height);
  const count = pixelmatch(old.data, now.data, shown.data, width, height, { threshold: THRESHOLD });
  return count > TOLERATED ? { count, png: encode(shown) } : null;
}

function hide({ data, width, height }, { left, top, right, bottom }) {
  for (let y = Math.max(top, 0); y < Math.min(bottom, height); y += 1) {
    data.fill(128, 4 * (y * width + Math.max(left, 0)), 4 * (y * width + Math.min(right, width)));
  }
}
