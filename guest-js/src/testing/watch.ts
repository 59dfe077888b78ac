import type { Delta } from "../bindings/Delta.js";
import type { ErrorPayload } from "../bindings/ErrorPayload.js";
import type { Status } from "../bindings/Status.js";
import { identity, type Index } from "../identity.js";
import type { WireRecord } from "../record.js";
import { Screen, type Shown } from "../screen.js";
import type { Profiles } from "../types.js";
import { type Now, Teller } from "./teller.js";

/** An index made at once. */
export function indexed(records: readonly WireRecord[]): Index {
  return new Map(records.map((record) => [identity(record), record]));
}

/** A screen, and a Rust that tells it of a watch, with nothing between the two. */
export class Watch {
  readonly screen: Screen;
  /** Most records in one state or delta. */
  chunk = Infinity;
  teller = new Teller();
  readonly #now: Now = { status: "live", error: null, cursor: null, profiles: {}, entries: [] };
  readonly #ids = new Map<string, number>();

  /** @param records - what is on screen already, with `profiles` */
  constructor(records: readonly WireRecord[] = [], profiles: Profiles = {}) {
    this.screen = new Screen({ records, profiles });
  }

  /** The profiles that Rust has from now on. */
  knows(profiles: Now["profiles"]): this {
    this.#now.profiles = profiles;
    this.teller.changed = true;
    return this;
  }

  /** What Rust has from now on. */
  has(records: readonly WireRecord[], status: Status = "live", error: ErrorPayload | null = null): this {
    Object.assign(this.#now, { status, error });
    this.#now.entries = records.map((record) => ({ id: this.#id(identity(record)), record }));
    this.teller.changed = true;
    return this;
  }

  /** Opens the watch, or opens it again under a new handle. */
  open(retelling = false): Shown | undefined {
    this.screen.reopen();
    this.teller = new Teller();
    return this.ask(retelling);
  }

  /** Asks for the state. */
  ask(retelling = false): Shown | undefined {
    const state = this.teller.state({ watch: 1, inherited: [] }, this.#now, this.chunk);
    return this.screen.take(state, indexed(this.screen.records), retelling);
  }

  /** The next delta, which the screen is not told. */
  delta(): Delta {
    return this.teller.delta(1, this.#now, this.chunk);
  }

  /** Tells the next delta. */
  tell(): ReturnType<Screen["apply"]> {
    return this.screen.apply(this.delta());
  }

  /** Tells all there is. */
  tellAll(): void {
    while (this.teller.changed) this.tell();
  }

  #id(key: string): number {
    const id = this.#ids.get(key) ?? this.#ids.size;
    this.#ids.set(key, id);
    return id;
  }
}
