import { describe, expect, test } from "vitest";
import { overlay } from "./overlay.js";
import type { WireRecord } from "./record.js";
import { pending, record } from "./testing/records.js";
import { indexed } from "./testing/watch.js";

const a = record("a");
const b = record("b");
const c = record("c");

describe("overlay", () => {
  const over = (held: WireRecord[], told: WireRecord[], whole = true) => overlay(indexed(held), told, whole);

  test("puts edits in the place of their records, and new ones first", () => {
    const [x, y, edited] = [pending(record("x")), pending(record("y")), pending(b)];
    expect(over([a, b, c], [x, edited, y])).toEqual([x, y, a, edited, c]);
  });

  test("leaves other records as they are held", () => {
    expect(over([a, b], [record("a", 2), record("new")])).toEqual([a, b]);
  });

  test("shows what an edit stood for when it is taken back, be it held or told", () => {
    expect(over([a, b], [])).toEqual([a, b]);
    expect(over([a, pending(b)], [b])).toEqual([a, b]);
  });

  test("drops what Rust has no more once all is told, but no record that was merely edited", () => {
    const edited = pending({ ...b, cid: "bafy" });
    const held = [pending(record("x")), edited, a];
    expect(over(held, [], false)).toEqual(held);
    expect(over(held, [])).toEqual([edited, a]);
  });

  test("tells one uri in two spaces apart", () => {
    const other = { ...a, space: "ats://did:plc:bob/com.example.space/two" };
    const edited = pending(other);
    expect(over([a, other], [edited])).toEqual([a, edited]);
    expect(over([a], [edited])).toEqual([edited, a]);
  });

  test("lets the real record follow one that named no space", () => {
    const { space, ...unspaced } = pending(b);
    expect(over([unspaced, a], [b])).toEqual([b, a]);
  });
});
