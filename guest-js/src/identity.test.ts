import { afterEach, describe, expect, test } from "vitest";
import { reuse } from "./identity.js";
import { indexOf } from "./indexing.js";
import type { WireRecord } from "./record.js";
import { record } from "./testing/records.js";

const { hasOwn } = Object;
afterEach(() => void Object.assign(Object, { hasOwn }));

const a = record("a");
const b = record("b");
const c = record("c");

describe("reuse", () => {
  const all = async (records: WireRecord[], previous: WireRecord[]) => {
    const index = await indexOf(previous);
    return records.map((it) => reuse(it, index));
  };

  test("keeps the objects of equal records and no others", async () => {
    const next = await all([record("c"), record("b", 1), record("a"), record("d")], [a, b, c]);
    expect(next).toEqual([record("c"), record("b", 1), record("a"), record("d")]);
    expect(next[0]).toBe(c);
    expect(next[1]).not.toBe(b);
    expect(next[2]).toBe(a);
  });

  test("works where Object.hasOwn is missing, as before macOS 12.3 and iOS 15.4", async () => {
    Object.assign(Object, { hasOwn: undefined });
    const [edited] = await all([record("a", 1)], [a]);
    Object.assign(Object, { hasOwn });
    expect(edited).toEqual(record("a", 1));
  });

  test("tells one uri in two spaces apart", async () => {
    const other = { ...a, space: "ats://did:plc:bob/com.example.space/two" };
    const [first, second] = await all(structuredClone([other, a]), [a, other]);
    expect(first).toBe(other);
    expect(second).toBe(a);
  });

  test.each([
    [{ tags: ["x"] }, { tags: ["x", "y"] }],
    [{ tags: [] }, { tags: {} }],
    [{ n: null }, { n: {} }],
    [{ n: 1 }, { n: "1" }],
    [{ x: 1 }, { y: 1 }],
    [{ x: { deep: [1, { z: 1 }] } }, { x: { deep: [1, { z: 2 }] } }],
    [JSON.parse('{"__proto__":{}}'), { x: {} }],
  ])("sees that %j is not %j", async (value, other) => {
    const old = { ...a, value };
    expect((await all([{ ...a, value: structuredClone(value) }], [old]))[0]).toBe(old);
    expect((await all([{ ...a, value: other }], [old]))[0]).not.toBe(old);
  });
});
