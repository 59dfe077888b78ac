import type { Snapshot, WatchStore } from "../types.js";

/** Waits for the first snapshot that fulfils `condition`. */
export function until<Value>(
  store: WatchStore<Value>,
  condition: (snapshot: Snapshot<Value>) => boolean,
): Promise<Snapshot<Value>> {
  return new Promise((resolve) => {
    const unsubscribe = store.subscribe((snapshot) => {
      if (!condition(snapshot)) return;
      resolve(snapshot);
      queueMicrotask(() => unsubscribe());
    });
  });
}

/** Waits until everything that can run without a timer has run. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

/** A promise and what settles it. */
export function gate(): { opened: Promise<void>; open: () => void; fail: (reason: unknown) => void } {
  let open!: () => void;
  let fail!: (reason: unknown) => void;
  const opened = new Promise<void>((resolve, reject) => {
    open = resolve;
    fail = reject;
  });
  return { opened, open, fail };
}
