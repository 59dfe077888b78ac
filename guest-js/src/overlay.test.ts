import { describe, expect, test } from "vitest";
import { same } from "./identity.js";
import { overlay } from "./overlay.js";
import type { WireRecord } from "./record.js";
import { pending, record } from "./testing/records.js";
import { indexed } from "./testing/watch.js";

const a = record("a");
const b = record("b");
const c = record("c");

describe("overlay", () => {
  const over = (held: WireRecord[], records: WireRecord[], whole = true, retelling = false) =>
    overlay(indexed(held), { records, whole, retelling });
  /** An edit of `record`, as this page saw it come, with the server's cid or, as in a space, without. */
  const edit = (record: WireRecord, version = 1, cid: string | null = null) =>
    same(record, pending({ ...record, cid }, version));

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

  test.each([null, "bafy"])(
    "drops what Rust has no more once all is told; what was edited shows again (cid %s)",
    (cid) => {
      const added = pending({ ...record("x"), cid });
      const edited = edit(b, 1, cid);
      const held = [added, edit(edited, 2, cid), edited, a];
      expect(over([added, edited, a], [], false)).toEqual([added, edited, a]);
      expect(over([added, edited, a], [])).toEqual([b, a]);
      expect(over(held, [])[0]).toBe(b);
    },
  );

  test("keeps edits as they are while Rust is told of them again, and shows those of others", () => {
    const failed = { ...edit(b), optimistic: "failed" } as const;
    const [x, y] = [pending(record("x")), pending(record("y"))];
    const held = [x, failed, a];
    expect(over(held, [], true, true)).toEqual(held);
    expect(over(held, [b, edit(a), x, y], true, true)).toEqual([y, x, failed, edit(a)]);
    expect(over(held, [edit(b)], true, true)[1]).toBe(failed);
  });

  test("shows what Rust tells of a write, which it need not be told again", () => {
    const written = (write: number, more: object = {}) => ({ ...edit(b), write, ...more });
    const [x, one] = [{ ...pending(record("x")), write: 7 }, written(8)];
    for (const retelling of [false, true]) {
      expect(over([x, one, a], [b], true, retelling)).toEqual([b, a]);
      expect(over([one, a], [written(8)], true, retelling)[0]).toBe(one);
      for (const other of [written(9), written(8, { deleted: true }), written(8, { serverValue: 1 })]) {
        expect(over([one, a], [other], true, retelling)[0]).toBe(other);
      }
    }
  });

  test("keeps the object of an edit that Rust knows only in part", () => {
    const edited = same(b, pending({ ...b, reactions: [{ did: "did:plc:bob" }] } as WireRecord));
    expect(over([edited, a], [pending(b)])[0]).toBe(edited);
    const [again] = over([edited, a], [pending(b, 2)]);
    expect(again).toEqual(pending(b, 2));
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
