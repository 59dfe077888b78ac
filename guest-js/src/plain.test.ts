import { describe, expect, test } from "vitest";
import { plain, whole } from "./plain.js";

const deep = (levels: number): unknown => (levels === 0 ? 1 : [deep(levels - 1)]);
const loop: Record<string, unknown> = {};
loop["again"] = loop;

describe("plain", () => {
  test("copies what JSON carries, and leaves out members that are undefined", () => {
    const value = { text: "😀", list: [1, null, { on: true }], left: undefined, at: new Date(0) };
    const copy = plain(value);
    expect(copy).toStrictEqual({ text: "😀", list: [1, null, { on: true }], at: "1970-01-01T00:00:00.000Z" });
    expect(copy.list).not.toBe(value.list);
    expect(plain(JSON.parse('{"__proto__":1}'))).toStrictEqual(JSON.parse('{"__proto__":1}'));
  });

  test.each([
    ["value.f", "a Function", { f: () => 1 }],
    ["value.s", "a Symbol", { s: Symbol("s") }],
    ["value.n", "a BigInt", { n: 1n }],
    ["value.deep[1].n", "NaN", { deep: [0, { n: NaN }] }],
    ["value.n", "-Infinity", { n: -Infinity }],
    ["value.m", "a Map", { m: new Map() }],
    ["value.b", "a Uint8Array", { b: new Uint8Array(2) }],
    ["value.at", "an invalid Date", { at: new Date(NaN) }],
    ["value.list[1]", "undefined", { list: [1, undefined] }],
    ["value", "undefined", undefined],
    ["value.text", "half a character", { text: "cut \ud83d" }],
    ["value.text", "half a character", { text: "\ude00 cut" }],
    ["value", "half a character", { "\ud83d": 1 }],
    ['value["a.b"]', "NaN", { "a.b": NaN }],
  ])("refuses at %s what is %s", (path, what, value) => {
    const message = `${path}: cannot send ${what}`;
    expect(() => plain(value, "value")).toThrow(
      expect.objectContaining({ kind: "invalid-options", message }),
    );
  });

  test("refuses what holds itself, or more levels than Rust reads", () => {
    expect(plain(deep(100))).toEqual(deep(100));
    for (const value of [deep(101), loop]) expect(() => plain(value)).toThrow(/more than 100 levels/);
  });

  test("refuses what throws when it is read, without its words", () => {
    const value = {
      get secret() {
        throw new Error("hush");
      },
    };
    expect(() => plain(value, "value")).toThrow(/^value: cannot be read$/);
  });
});

test("whole replaces half characters and nothing else", () => {
  expect(whole("a\ud83d 😀 \udc00")).toBe("a\ufffd 😀 \ufffd");
});
