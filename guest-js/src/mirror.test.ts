import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Delta } from "./bindings/Delta.js";
import type { PackedRecord } from "./bindings/PackedRecord.js";
import type { WireRecord } from "./record.js";
import { indexOf } from "./indexing.js";
import { apply, type Mirror } from "./mirror.js";
import { record, texts } from "./testing/records.js";

const a = record("a");
const b = record("b");
const c = record("c");
const mirror: Mirror = { rev: 4, ids: [1, 2, 3], records: [a, b, c] };

/** A delta, with each changed record beside its id and index. */
type Change = Partial<Delta> & { changed?: { id: number; index: number; record: WireRecord }[] };

function delta({ changed = [], ...change }: Change): Delta {
  return {
    handle: 1,
    rev: 5,
    status: "live",
    error: null,
    cursor: null,
    length: 3,
    removed: [],
    ids: changed.map(({ id }) => id),
    indexes: changed.map(({ index }) => index),
    common: {},
    records: changed.map(({ record }) => record as PackedRecord),
    more: false,
    ...change,
  };
}

function applied(change: Change): Mirror {
  const next = apply(mirror, delta(change));
  if (!next) throw new Error("the delta does not follow");
  return next;
}

describe("apply", () => {
  test("puts a new record at its index and keeps the others' objects", () => {
    const x = record("x");
    const next = applied({ length: 4, changed: [{ id: 9, index: 1, record: x }] });
    expect(next.ids).toEqual([1, 9, 2, 3]);
    expect(next.records).toEqual([a, x, b, c]);
    expect(next.records[0]).toBe(a);
    expect(next.records[2]).toBe(b);
    expect(next.records[3]).toBe(c);
    expect(next.records).not.toBe(mirror.records);
  });

  test("puts an edited record in its place and keeps the others' objects", () => {
    const edited = record("b", 1);
    const next = applied({ changed: [{ id: 2, index: 1, record: edited }] });
    expect(next.records).toEqual([a, edited, c]);
    expect(next.records[0]).toBe(a);
    expect(next.records[2]).toBe(c);
  });

  test("removes records", () => {
    expect(applied({ length: 1, removed: [1, 3] }).records).toEqual([b]);
    expect(applied({ length: 0, removed: [1, 2, 3] }).records).toEqual([]);
  });

  test("moves a changed record to its new index", () => {
    const edited = record("a", 1);
    const next = applied({ changed: [{ id: 1, index: 2, record: edited }] });
    expect(next.records).toEqual([b, c, edited]);
    expect(next.ids).toEqual([2, 3, 1]);
  });

  test("keeps every object when only the status changed", () => {
    const next = applied({ status: "reconnecting" });
    expect(next.rev).toBe(5);
    expect(next.records).toHaveLength(3);
    next.records.forEach((it, i) => expect(it).toBe(mirror.records[i]));
  });

  test("never changes the mirror it started from", () => {
    const before = structuredClone(mirror);
    applied({ length: 2, removed: [2], changed: [{ id: 3, index: 0, record: record("c", 1) }] });
    applied({ changed: [{ id: 2, index: 1, record: record("b", 1) }] });
    expect(mirror).toEqual(before);
  });

  test.each([
    ["a gap", { rev: 6 }],
    ["a revision that is known", { rev: 4 }],
    ["a length that does not fit", { length: 4 }],
    ["a length below what is left", { length: 2, changed: [{ id: 1, index: 0, record: a }] }],
    ["an index beyond the end", { changed: [{ id: 1, index: 3, record: a }] }],
    [
      "indexes that do not ascend",
      {
        changed: [
          { id: 1, index: 1, record: a },
          { id: 2, index: 0, record: b },
        ],
      },
    ],
    [
      "one index twice",
      {
        length: 4,
        changed: [
          { id: 1, index: 0, record: a },
          { id: 9, index: 0, record: b },
        ],
      },
    ],
    ["a huge length", { length: Number.MAX_SAFE_INTEGER, removed: [1] }],
    ["a negative length", { length: -1, removed: [1, 2, 3] }],
  ] satisfies [string, Change][])("refuses %s", (_, change) => {
    expect(apply(mirror, delta(change))).toBeUndefined();
  });

  test("ignores the removal of what it never had", () => {
    expect(applied({ removed: [77] }).records).toEqual([a, b, c]);
  });
});

describe("apply, for any two lists", () => {
  /** Distinct records, each with an id, a version and a place. */
  const list = fc.uniqueArray(fc.record({ id: fc.nat(30), version: fc.nat(2) }), {
    selector: ({ id }) => id,
    maxLength: 25,
  });
  type List = { id: number; version: number }[];
  const wire = ({ id, version }: List[number]): WireRecord => record(`r${id}`, version);

  /** The longest common subsequence by brute force would be minimal; any set of kept ids in order will do. */
  function between(old: List, next: List, alsoChanged: Set<number>): Delta {
    const nextIds = new Set(next.map(({ id }) => id));
    let from = 0;
    const changed = next.flatMap((item, index) => {
      const at = old.findIndex(({ id }, i) => i >= from && id === item.id);
      const keeps = at >= 0 && old[at]?.version === item.version && !alsoChanged.has(item.id);
      if (keeps) from = at + 1;
      return keeps ? [] : [{ id: item.id, index, record: wire(item) }];
    });
    const removed = old.filter(({ id }) => !nextIds.has(id)).map(({ id }) => id);
    return delta({ rev: 1, length: next.length, removed, changed });
  }

  test("ends with exactly the new list, the kept records being the same objects", () => {
    fc.assert(
      fc.property(list, list, fc.uniqueArray(fc.nat(30)), (old, next, also) => {
        const start: Mirror = { rev: 0, ids: old.map(({ id }) => id), records: old.map(wire) };
        const change = between(old, next, new Set(also));
        const result = apply(start, change);
        if (!result) throw new Error("the delta does not follow");
        expect(result.ids).toEqual(next.map(({ id }) => id));
        expect(texts(result.records)).toEqual(texts(next.map(wire)));
        const sent = new Set(change.ids);
        result.ids.forEach((id, i) => {
          if (!sent.has(id)) expect(result.records[i]).toBe(start.records[start.ids.indexOf(id)]);
        });
      }),
      { numRuns: 2000 },
    );
  });

  test("answers garbage with an answer, never with an exception or a wrong length", () => {
    const ids = fc.array(fc.integer({ min: -3, max: 12 }), { maxLength: 8 });
    const changes = fc.array(
      fc.record({
        id: fc.integer({ min: -3, max: 12 }),
        index: fc.integer({ min: -3, max: 12 }),
        record: fc.constant(a),
      }),
      { maxLength: 8 },
    );
    fc.assert(
      fc.property(ids, changes, fc.integer({ min: -2, max: 12 }), (removed, changed, length) => {
        const result = apply(mirror, delta({ removed, changed, length }));
        if (typeof result === "object") {
          expect(result.records).toHaveLength(length);
          expect(result.ids).toHaveLength(length);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

test("a record that moved without a change keeps its object", () => {
  const next = applied({ changed: [{ id: 1, index: 2, record: record("a") }] });
  expect(next.records).toEqual([b, c, a]);
  expect(next.records[2]).toBe(a);
});

test("a record that was sent again without a change keeps its object", () => {
  expect(applied({ changed: [{ id: 2, index: 1, record: record("b") }] }).records[1]).toBe(b);
});

test("a record that is held already keeps the held object", async () => {
  const held = record("x");
  const delta5 = delta({ length: 4, changed: [{ id: 9, index: 0, record: record("x") }] });
  const next = apply(mirror, delta5, await indexOf([held]));
  expect(next?.records[0]).toBe(held);
});

test("a record that was told again without a change keeps its object, whatever is held of it", async () => {
  const held = await indexOf([record("b", 7)]);
  const next = apply(mirror, delta({ changed: [{ id: 2, index: 1, record: record("b") }] }), held);
  expect(next?.records[1]).toBe(b);
});
