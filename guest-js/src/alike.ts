/** What bundlers put in the place of `process.env.NODE_ENV`. */
declare const process: { env: { NODE_ENV?: string } };

/** As many stores of one watch are no accident. */
const MANY = 5;

/** How many stores follow each watch. */
const started = new Map<string, number>();
let wasTold = false;

/**
 * Counts a store that starts, while the app is developed. Calls `tell` when there are many for the same watch, once for
 * the page: each hot update of a module that starts its store itself leaves one behind.
 *
 * @param key - what the stores of a watch have in common
 * @returns a function that ends the count
 */
export function countAlike(key: string, tell: (count: number) => void): () => void {
  if (!isDeveloped()) return () => {};
  const count = (started.get(key) ?? 0) + 1;
  started.set(key, count);
  if (count >= MANY && !wasTold) {
    wasTold = true;
    tell(count);
  }
  let counts = true;
  return () => {
    if (!counts) return;
    counts = false;
    const left = (started.get(key) ?? 0) - 1;
    if (left > 0) started.set(key, left);
    else started.delete(key);
  };
}

/** What to say of them. */
export function ofMany(count: number, name: string): string {
  return (
    `${count} stores of ${name} are started for the same list. Share one; where a module starts its own, ` +
    "a hot update leaves it behind, unless: import.meta.hot?.dispose(() => store.destroy())"
  );
}

function isDeveloped(): boolean {
  try {
    return process.env.NODE_ENV !== "production";
  } catch {
    // Without a bundler there are no hot updates.
    return false;
  }
}
