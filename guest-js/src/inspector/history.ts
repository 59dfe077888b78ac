/** Looks that are remembered: half a minute of them. */
const LOOKS = 60;

/** How many events came per second, as the totals of one watch after another tell. */
export class History {
  /** The last ones, the newest at the end. */
  readonly rates: number[] = [];
  #before: { events: number; at: number } | undefined;

  /** So many events there were in all at this time, in milliseconds. */
  look(events: number, at: number): void {
    const before = this.#before;
    if (before && at <= before.at) return;
    this.#before = { events, at };
    if (!before) return;
    this.rates.push((Math.max(0, events - before.events) * 1000) / (at - before.at));
    if (this.rates.length > LOOKS) this.rates.shift();
  }

  /** Events per second over the last two looks, which lie half a second apart. */
  get now(): number {
    const last = this.rates.slice(-2);
    return last.length === 0 ? 0 : last.reduce((sum, it) => sum + it, 0) / last.length;
  }
}

/** The history of each watch, as long as there is the watch. */
export class Histories {
  readonly #all = new Map<number, History>();

  look(watches: { id: number; events: number }[], at: number): void {
    const here = new Set(watches.map(({ id }) => id));
    for (const id of this.#all.keys()) if (!here.has(id)) this.#all.delete(id);
    for (const { id, events } of watches) this.of(id).look(events, at);
  }

  of(id: number): History {
    let history = this.#all.get(id);
    if (!history) this.#all.set(id, (history = new History()));
    return history;
  }
}
