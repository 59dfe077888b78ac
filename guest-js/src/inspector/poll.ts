import type { Inspection } from "../bindings/Inspection.js";
import { callPlugin } from "../call.js";
import { toWatchError, type WatchError } from "../error.js";
import { readInspection } from "./told.js";

/** Between an answer and the next question. */
const PAUSE = 500;
/** The same after an error. */
const PAUSE_AFTER_ERROR = 3000;

/** Asks the plugin twice a second, while it runs and the page can be seen. */
export class Poll {
  readonly #ontold: (inspection: Inspection) => void;
  readonly #onerror: (error: WatchError) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #runs = false;
  #asking = false;
  #again = false;
  /** The last line of the log that was told. */
  #since = 0;

  constructor(ontold: (inspection: Inspection) => void, onerror: (error: WatchError) => void) {
    this.#ontold = ontold;
    this.#onerror = onerror;
  }

  start(): void {
    if (this.#runs) return;
    this.#runs = true;
    document.addEventListener("visibilitychange", this.#look);
    this.#look();
  }

  stop(): void {
    this.#runs = false;
    document.removeEventListener("visibilitychange", this.#look);
    clearTimeout(this.#timer);
  }

  /** Asks at once: something was done. */
  hurry(): void {
    this.#look();
  }

  readonly #look = (): void => {
    clearTimeout(this.#timer);
    if (this.#asking) this.#again = true;
    else if (this.#runs && !document.hidden) void this.#ask();
  };

  async #ask(): Promise<void> {
    this.#asking = true;
    this.#again = false;
    let pause = PAUSE;
    try {
      const told = readInspection(await callPlugin("inspect_watches", { since: this.#since }));
      this.#since = told.log.last;
      if (this.#runs) this.#ontold(told);
    } catch (reason) {
      pause = PAUSE_AFTER_ERROR;
      if (this.#runs) this.#onerror(toWatchError(reason));
    }
    this.#asking = false;
    if (this.#again) this.#look();
    else if (this.#runs) this.#timer = setTimeout(this.#look, pause);
  }
}
