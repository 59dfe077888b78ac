import type { WatchError } from "./error.js";

/** A promise that is settled from outside, and can be renewed once it was rejected. */
export class Ready {
  promise!: Promise<void>;
  resolve!: () => void;
  reject!: (error: WatchError) => void;
  #rejected = true;

  constructor() {
    this.renew();
  }

  /** A new promise in place of a rejected one; without effect otherwise. */
  renew(): void {
    if (!this.#rejected) return;
    this.#rejected = false;
    this.promise = new Promise((resolve, reject) => {
      let pending = true;
      this.resolve = () => {
        pending = false;
        resolve();
      };
      this.reject = (error) => {
        this.#rejected = pending;
        reject(error);
      };
    });
    // Whoever awaits it still sees the rejection; nobody has to.
    this.promise.catch(() => {});
  }
}
