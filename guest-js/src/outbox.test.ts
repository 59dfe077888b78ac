import { describe, expect, test } from "vitest";
import type { ErrorKind } from "./bindings/ErrorKind.js";
import type { State } from "./bindings/State.js";
import type { Status } from "./bindings/Status.js";
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
  const state = (status: Status, list: WireRecord[] = [], kind?: ErrorKind): State => {
    const { common, packed: records } = pack(list);
    const error = kind ? { kind, message: "" } : null;
    return { rev: 1, status, error, cursor: null, ids: [], common, records, more: false };
  };
  const made = (outbox: Outbox) => {
    const edits: Edit[] = [];
    for (let edit = outbox.next; edit; edit = outbox.next) {
      edits.push(edit);
      outbox.settle(true);
    }
    return edits;
  };

  test("tells a new watch what was known of another, then what waits; a watch that goes on only that", () => {
    const left = { known: [add("x"), fail("x")], waiting: [add("y")] };
    const fresh = new Outbox("/watch", left);
    fresh.opened(state("connecting"));
    expect([fresh.isRetelling, fresh.hasRetold]).toEqual([true, false]);
    expect(made(fresh)).toEqual([add("x"), fail("x"), add("y")]);
    expect(fresh.hasRetold).toBe(true);
    fresh.retold();
    expect([fresh.isRetelling, fresh.hasRetold]).toEqual([false, false]);
    const old = new Outbox("/watch", left);
    old.opened(state("live"));
    expect(old.isRetelling).toBe(false);
    expect(made(old)).toEqual([add("y")]);
  });

  test.each<[boolean, State]>([
    [true, state("connecting")],
    [true, state("connecting", [record("cached")])],
    [true, state("reconnecting")],
    [true, state("reconnecting", [pending(record("of another page"))])],
    [true, state("closed", [], "connect")],
    [false, state("reconnecting", [record("a")])],
    [false, state("closed", [record("a")], "connect")],
    [false, state("closed", [], "access-lost")],
    [false, state("snapshot")],
    [false, state("live")],
  ])("knows a watch that has just begun (%s)", (isNew, state) => {
    const outbox = new Outbox("/watch", { known: [add("x")], waiting: [] });
    outbox.opened(state);
    expect(outbox.isRetelling).toBe(isNew);
  });

  test("does not tell what another page told already", () => {
    const outbox = new Outbox("/watch", { known: [add("x"), fail("x", alice), add("y")], waiting: [] });
    outbox.opened(state("connecting", [pending(record("x")), record("y")]));
    expect(made(outbox)).toEqual([add("y")]);
  });

  test("knows what is on screen, the oldest first, and what was made since", () => {
    const outbox = new Outbox("/watch", { known: [], waiting: [add("z"), remove("a")] });
    outbox.opened(state("live"));
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

  test("takes the second list after an edit for one that has it", () => {
    const outbox = new Outbox("/watch", { known: [], waiting: [add("x")] });
    outbox.opened(state("live"));
    made(outbox);
    outbox.heard();
    outbox.heard();
    outbox.lose([]);
    expect(outbox.left.known).toEqual([]);
  });

  test("does not keep what was refused, and begins anew with what it was telling again", () => {
    const outbox = new Outbox("/watch", { known: [add("x")], waiting: [add("y")] });
    outbox.opened(state("connecting"));
    outbox.settle(true);
    outbox.settle(false);
    outbox.lose([]);
    expect(outbox.left).toEqual({ known: [add("x")], waiting: [] });
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
