import fc from "fast-check";
import { expect, test } from "vitest";
import type { Status } from "./bindings/Status.js";
import { identity } from "./identity.js";
import type { WireRecord } from "./record.js";
import type { Shown } from "./screen.js";
import { record } from "./testing/records.js";
import { indexed, Watch } from "./testing/watch.js";

/** A record of the server; an edit of one, which has its cid; or a new one that the server does not know yet. */
const entry = fc.record({
  rkey: fc.nat(7),
  version: fc.nat(2),
  kind: fc.constantFrom("server", "server", "server", "edit", "new"),
});
const list = fc
  .uniqueArray(entry, { selector: ({ rkey, kind }) => `${rkey} ${kind === "new"}`, maxLength: 10 })
  .map((entries) => entries.map(made));
const step = fc.oneof(
  fc.record({
    op: fc.constant("has" as const),
    list,
    status: fc.constantFrom<Status[]>("live", "live", "snapshot", "reconnecting"),
  }),
  { weight: 2, arbitrary: fc.record({ op: fc.constant("tell" as const) }) },
  fc.record({ op: fc.constantFrom("lose" as const, "ask" as const, "open" as const, "retell" as const) }),
);

function made({ rkey, version, kind }: { rkey: number; version: number; kind: string }): WireRecord {
  const it = record(`${kind === "new" ? "n" : "r"}${rkey}`, version);
  if (kind === "server") return { ...it, cid: `bafy${version}` };
  return { ...it, cid: kind === "edit" ? "bafy" : null, optimistic: "pending" };
}

const content = (it: WireRecord) => JSON.stringify(Object.entries(it).sort());

/** What must hold of a screen whatever it is told, checked after each time. */
class Rules {
  readonly watch: Watch;
  /** What is held; empty where nothing is. */
  held: readonly WireRecord[] = [];
  stale = false;
  /** Rust is being told again of what is held. */
  retelling = false;
  #before: readonly WireRecord[];

  constructor(watch: Watch) {
    this.watch = watch;
    this.#before = watch.screen.records;
  }

  /** A state is about to be told. */
  hold(): void {
    if (this.held.length === 0) this.held = this.watch.screen.records;
  }

  check(outcome: Shown | "gap" | undefined, whole: boolean): void {
    const { screen, teller } = this.watch;
    const shown = screen.records;
    if (typeof outcome === "object") {
      expect(outcome.records).toBe(shown);
      if (outcome.status === "live") this.stale = false;
      if (whole && !this.stale && !this.retelling) this.held = [];
    }
    this.#keepsObjects(shown);
    if (this.held.length > 0) this.#holds(shown);
    else expect(shown).toEqual(teller.told.map((it) => it.record));
  }

  /** What was held is there still, in its order and the same objects, but for edits. */
  #holds(shown: readonly WireRecord[]): void {
    const told = new Map(this.watch.teller.told.map((it) => [identity(it.record), it.record]));
    const settled = ({ optimistic }: WireRecord) => !optimistic;
    const stays = (it: WireRecord) =>
      settled(it) ? !told.get(identity(it))?.optimistic : this.retelling && it.optimistic;
    const kept = this.held.filter(stays);
    const places = kept.map((it) => shown.indexOf(it));
    expect(places).not.toContain(-1);
    expect(places).toEqual([...places].sort((a, b) => a - b));
    // What is no edit and was not held shows only where it takes an edit's place.
    const held = new Set(this.held.map(identity));
    for (const it of shown.filter(settled)) expect(held).toContain(identity(it));
    for (const [key, it] of told) {
      const isHeld = this.retelling && this.held.some((old) => old.optimistic && identity(old) === key);
      if (it.optimistic && !isHeld) expect(shown).toContainEqual(it);
    }
  }

  #keepsObjects(shown: readonly WireRecord[]): void {
    const before = indexed(this.#before);
    expect(indexed(shown).size).toBe(shown.length);
    for (const it of shown) {
      const old = before.get(identity(it));
      if (old) expect(old === it, `${content(old)} → ${content(it)}`).toBe(content(old) === content(it));
    }
    const isSame = shown.length === this.#before.length && shown.every((it, i) => it === this.#before[i]);
    expect(shown === this.#before).toBe(isSame);
    this.#before = shown;
  }
}

test("whatever is told, what was on screen stays until the new list is whole and live, and then that shows", () => {
  fc.assert(
    fc.property(
      fc.array(step, { minLength: 1, maxLength: 25 }),
      fc.constantFrom(1, 2, 3, Infinity),
      list,
      (steps, chunk, last) => {
        const watch = new Watch();
        watch.chunk = chunk;
        const rules = new Rules(watch);
        const ask = (how: "ask" | "open" | "retell" = "ask") => {
          if (how !== "ask") rules.stale = watch.screen.records.length > 0;
          rules.retelling = how === "retell";
          rules.hold();
          rules.check(how === "ask" ? watch.ask() : watch.open(rules.retelling), !watch.teller.changed);
        };
        const tell = () => {
          const delta = watch.delta();
          const outcome = watch.screen.apply(structuredClone(delta));
          if (outcome === "gap") return ask();
          rules.check(outcome, !delta.more);
          // Once more, as it may come twice.
          expect(watch.screen.apply(delta)).toBeUndefined();
        };
        ask("open");
        for (const it of steps) {
          if (it.op === "has") watch.has(it.list, it.status);
          else if (it.op === "tell") tell();
          else if (it.op === "lose") watch.delta();
          else ask(it.op);
        }
        watch.has(last);
        if (rules.retelling) ask();
        do {
          tell();
        } while (watch.teller.changed);
        expect(rules.held).toEqual([]);
        expect(watch.screen.records).toEqual(last);
      },
    ),
    { numRuns: 1000 },
  );
}, 60_000);
