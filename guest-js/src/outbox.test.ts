import { describe, expect, test } from "vitest";
import type { State } from "./bindings/State.js";
import { condense, type Edit } from "./edits.js";
import { forgetAll, leave, take } from "./left.js";
import { Outbox } from "./outbox.js";
import type { WireRecord } from "./record.js";
import { pack } from "./testing/pack.js";
import { pending, record } from "./testing/records.js";

const [alice, bob] = ["did:plc:alice", "did:plc:bob"];
const add = (rkey: string, did = alice, collection?: string): Edit => {
  return { op: "add", record: { rkey, did, value: {}, collection } };
};
const fail = (rkey: string, did?: string, message = "late"): Edit => {
  return { op: "fail", rkey, did, error: { name: "Error", message } };
};
const remove = (rkey: string, did?: string): Edit => ({ op: "remove", rkey, did });

describe("condense", () => {
  test.each<[string, Edit[], Edit[]]>([
    [
      "a record that was added twice once, at its last place",
      [add("x"), add("y"), add("x")],
      [add("y"), add("x")],
    ],
    ["a record that is tried again as pending", [add("x"), fail("x"), add("x")], [add("x")]],
    [
      "the last failure of a record",
      [add("x"), fail("x"), fail("x", alice, "no")],
      [add("x"), fail("x", alice, "no")],
    ],
    ["nothing of what was taken back", [add("x"), fail("x"), remove("x")], []],
    ["nothing of what is of no record", [fail("x"), remove("y")], []],
    [
      "the newest of a key where no did is told",
      [add("x"), add("x", bob), remove("x"), fail("x")],
      [add("x"), fail("x", alice)],
    ],
    ["what a did tells apart", [add("x"), add("x", bob), remove("x", alice)], [add("x", bob)]],
    [
      "collections apart",
      [add("x", alice, "a.b.c"), add("x", alice, "d.e.f")],
      [add("x", alice, "a.b.c"), add("x", alice, "d.e.f")],
    ],
  ])("keeps %s", (_, edits, kept) => expect(condense(edits)).toEqual(kept));
});

describe("an outbox", () => {
  const state = (watch: number, list: WireRecord[] = [], inherited: number[] = []): State => {
    const { common, packed: records } = pack(list);
    return {
      watch,
      inherited,
      rev: 1,
      status: "live",
      error: null,
      cursor: null,
      ids: [],
      profiles: {},
      common,
      records,
      more: false,
    };
  };
  const made = (outbox: Outbox) => {
    const edits: Edit[] = [];
    for (let edit = outbox.next; edit; edit = outbox.next) {
      edits.push(edit);
      outbox.settle(true);
    }
    return edits;
  };

  test("tells nobody of writes, which are on Rust's disk", () => {
    const outbox = new Outbox("/watch", { known: [], waiting: [] });
    outbox.opened(state(1));
    outbox.lose([{ ...pending(record("x")), write: 1 }, pending(record("y"))]);
    outbox.opened(state(2));
    expect(made(outbox)).toMatchObject([{ op: "add", record: { rkey: "y" } }]);
  });

  test("tells a new watch what was known of another, then what waits; a watch that goes on only that", () => {
    const left = { watch: 1, known: [add("x"), fail("x")], waiting: [add("y")] };
    const fresh = new Outbox("/watch", left);
    fresh.opened(state(2));
    expect([fresh.isRetelling, fresh.hasRetold]).toEqual([true, false]);
    expect(made(fresh)).toEqual([add("x"), fail("x"), add("y")]);
    expect(fresh.hasRetold).toBe(true);
    fresh.retold();
    expect([fresh.isRetelling, fresh.hasRetold]).toEqual([false, false]);
    const old = new Outbox("/watch", left);
    old.opened(state(1));
    expect(old.isRetelling).toBe(false);
    expect(made(old)).toEqual([add("y")]);
  });

  test("keeps what is known where Rust refuses to begin a watch", () => {
    const left = { watch: 1, known: [add("x")], waiting: [] };
    const outbox = new Outbox("/watch", left);
    outbox.opened(state(0));
    expect(outbox.next).toBe(undefined);
    outbox.lose([]);
    expect(outbox.left).toMatchObject(left);
  });

  test("says with the last of them that all is told, and tells none where another page has said so", () => {
    const left = { watch: 1, known: [add("x"), add("y")], waiting: [add("z")] };
    const outbox = new Outbox("/watch", left);
    outbox.opened(state(2));
    const inherits = [];
    for (; outbox.next; outbox.settle(true)) inherits.push(outbox.inherits);
    expect(inherits).toEqual([undefined, 1, undefined]);
    const other = new Outbox("/watch", left);
    other.opened(state(2, [], [1]));
    expect(made(other)).toEqual([add("z")]);
  });

  test("goes on with what it was telling again where the same watch is opened again", () => {
    const outbox = new Outbox("/watch", { watch: 1, known: [add("x"), add("y"), add("z")], waiting: [] });
    outbox.opened(state(2));
    outbox.settle(true);
    outbox.lose([]);
    const next = new Outbox("/watch", outbox.left);
    next.opened(state(2));
    expect(made(next)).toEqual([add("y"), add("z")]);
  });

  test("does not grow where one watch after another ends before it is told", () => {
    const known = [add("x"), add("y")];
    const outbox = new Outbox("/watch", { watch: 1, known, waiting: [] });
    for (let watch = 2; watch < 100; watch++) {
      outbox.opened(state(watch));
      outbox.lose([]);
    }
    expect(outbox.left).toMatchObject({ known, unsaid: known, waiting: [] });
    outbox.opened(state(100));
    expect(made(outbox)).toEqual(known);
  });

  test("does not tell what another page told already", () => {
    const outbox = new Outbox("/watch", {
      watch: 1,
      known: [add("x"), fail("x", alice), add("y")],
      waiting: [],
    });
    outbox.opened(state(2, [pending(record("x")), record("y")]));
    expect(made(outbox)).toEqual([add("y")]);
  });

  test("knows what is on screen, the oldest first, and what was made since", () => {
    const outbox = new Outbox("/watch", { known: [], waiting: [add("z"), remove("a")] });
    outbox.opened(state(1));
    made(outbox);
    const failed = {
      ...pending(record("b", 0, 1)),
      optimistic: "failed",
      optimisticError: { name: "E", message: "m" },
    } as const;
    outbox.heard();
    outbox.lose([pending(record("c", 0, 2)), failed, pending(record("a", 0, 3)), record("d")]);
    expect(outbox.left.known).toMatchObject([
      { op: "add", record: { rkey: "b", value: { text: "b v1" }, time_us: 1, space: record("b").space } },
      { op: "fail", rkey: "b", did: alice, error: { name: "E", message: "m" } },
      { op: "add", record: { rkey: "c" } },
      { op: "add", record: { rkey: "z" } },
    ]);
  });

  test.each(["watchRecords", "listRecords"])("leaves what %s names for Rust to guess again", (method) => {
    const outbox = new Outbox(`/xrpc/com.example.note.${method}?limit=5`, { known: [], waiting: [] });
    outbox.opened(state(1));
    const seen = ["com.example.note", "com.example.like"].map((collection, n) => ({
      ...pending(record(collection, 0, n)),
      collection,
    }));
    outbox.lose(seen);
    const told = outbox.left.known.map((edit) => (edit.op === "add" ? edit.record.collection : edit.op));
    expect(told).toEqual([undefined, "com.example.like"]);
  });

  test("takes the second list after an edit for one that has it", () => {
    const outbox = new Outbox("/watch", { known: [], waiting: [add("x")] });
    outbox.opened(state(1));
    made(outbox);
    outbox.heard();
    outbox.heard();
    outbox.lose([]);
    expect(outbox.left.known).toEqual([]);
  });

  test("does not keep what was refused, and begins anew with what it was telling again", () => {
    const outbox = new Outbox("/watch", { watch: 1, known: [add("x")], waiting: [add("y")] });
    outbox.opened(state(2));
    outbox.settle(true);
    outbox.settle(false);
    outbox.lose([]);
    expect(outbox.left).toMatchObject({ watch: 2, known: [add("x")], waiting: [] });
  });
});

describe("what is left", () => {
  test("is taken once, and no more than 256 watches leave something", () => {
    forgetAll();
    for (let n = 0; n < 300; n++) leave(`watch ${n}`, { known: [add("x")], waiting: [] });
    for (let n = 0; n < 300; n++) expect(take(`watch ${n}`).known).toHaveLength(n < 44 ? 0 : 1);
    expect(take("watch 299").known).toEqual([]);
  });

  test("is what the last knew, and what any had still to say, to a bound", () => {
    forgetAll();
    leave("watch", { known: [add("x")], waiting: [add("y")] });
    leave("watch", { known: [], waiting: Array.from({ length: 1000 }, (_, n) => add(`${n}`)) });
    const { known, waiting } = take("watch");
    expect(known).toEqual([]);
    expect(waiting).toHaveLength(1000);
    expect(waiting.at(-1)).toEqual(add("999"));
  });
});
