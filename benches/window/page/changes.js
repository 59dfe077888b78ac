/** Which changes of a flood have arrived, and how long after they were sent. */
export class Changes {
  /** Earlier floods counted from 0, too. */
  #since = Date.now();
  #arrived;
  #records;
  #last;
  /** `[latency, time of arrival]` in milliseconds, the latter since the Unix epoch. */
  seen = [];
  /** Fulfilled with the time of arrival of the last change. */
  all = new Promise((resolve) => (this.#last = resolve));

  /**
   * @param n - how many there will be
   * @param records - the list before
   */
  constructor(n, records) {
    this.#arrived = new Uint8Array(n);
    this.#records = records;
  }

  /** What a listener gets. */
  take({ records, changed }) {
    const now = Date.now();
    for (const { value } of changed ?? difference(this.#records, records)) {
      if (value.sent >= this.#since && !this.#arrived[value.seq]) this.#note(value, now);
    }
    this.#records = records;
  }

  #note({ seq, sent }, now) {
    this.#arrived[seq] = 1;
    this.seen.push([now - sent, now]);
    if (seq === this.#arrived.length - 1) this.#last(now);
  }
}

/** Records that were added, or replaced in their place or further up; the others are the same objects in the same order. */
function difference(old, records) {
  const found = [];
  const uris = new Set();
  let at = 0;
  for (const record of records) {
    if (record !== old[at]) while (uris.has(old[at]?.uri)) at++;
    if (record === old[at]) at++;
    else {
      found.push(record);
      uris.add(record.uri);
    }
  }
  return found;
}
