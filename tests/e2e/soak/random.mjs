/** Mulberry32: small, and the same on every machine. `random(seed)(below)` is a whole number from 0. */
export function random(seed) {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
