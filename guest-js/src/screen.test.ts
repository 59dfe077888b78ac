import { describe, expect, test } from "vitest";
import type { ErrorKind } from "./bindings/ErrorKind.js";
import type { WireRecord } from "./record.js";
import type { Shown } from "./screen.js";
import { pending, record, texts } from "./testing/records.js";
import { indexed, Watch } from "./testing/watch.js";

const a = record("a");
const b = record("b");
const c = record("c");
const many = (length: number) => Array.from({ length }, (_, i) => record(`r${i}`));

/** A watch that is open, whole and live. */
function live(records: readonly WireRecord[]): Watch {
  const watch = new Watch().has(records);
  watch.open();
  return watch;
}

/** What is on screen, by its texts. */
const shows = ({ screen }: Watch) => texts(screen.records);

/** How many records an outcome shows, with which status. */
function size(outcome: Shown | "gap" | undefined): string | undefined {
  return typeof outcome === "object" ? `${outcome.status} ${outcome.records.length}` : outcome;
}

describe("an empty screen", () => {
  test("shows a list as it arrives, part by part", () => {
    const watch = new Watch().has(many(10));
    watch.chunk = 3;
    const seen = [watch.open(), watch.tell(), watch.tell(), watch.tell()].map(size);
    expect(seen).toEqual(["snapshot 3", "snapshot 6", "snapshot 9", "live 10"]);
    expect(shows(watch)).toEqual(texts(many(10)));
  });

  test("shows records before the watch is live, and at once what becomes of them", () => {
    const watch = new Watch().has([b, a], "reconnecting");
    expect(size(watch.open())).toBe("reconnecting 2");
    watch.has([c, a], "reconnecting").tell();
    expect(shows(watch)).toEqual(["c v0", "a v0"]);
  });

  test("shows status, error and cursor as they were told", () => {
    const error = { kind: "disconnected", message: "gone" } as const;
    const watch = new Watch();
    const state = {
      watch: 1,

      rev: 1,
      status: "reconnecting",
      error,
      cursor: "older",
      more: false,
    } as const;
    const shown = watch.screen.take(
      { ...state, inherited: [], ids: [], profiles: {}, common: {}, records: [] },
      indexed([]),
    );
    expect(shown).toEqual({ status: "reconnecting", error, cursor: "older", records: [], profiles: {} });
  });
});

describe("a list that is asked for again", () => {
  test("stays until the new one is whole, which then takes its place at once", () => {
    const watch = live(many(10));
    const before = watch.screen.records;
    watch.has([record("new"), ...many(10).slice(2)]).chunk = 4;
    expect(watch.ask()?.records).toBe(before);
    watch.tell();
    expect(watch.screen.records).toBe(before);
    watch.tell();
    expect(shows(watch)).toEqual(texts([record("new"), ...many(10).slice(2)]));
  });

  test("keeps the objects of records that did not change, and no others", () => {
    const watch = live(many(10));
    const before = watch.screen.records;
    watch.has([record("new"), ...many(4), record("r4", 1), ...many(10).slice(5)]).chunk = 3;
    watch.ask();
    watch.tellAll();
    expect(watch.screen.records).toHaveLength(11);
    for (const it of watch.screen.records) {
      expect(before.includes(it)).toBe(!["new", "r4"].includes(it.rkey));
    }
  });

  test("is forgotten once it went: a record that is gone and comes back is a new object", () => {
    const watch = live([b, a]);
    const [old] = watch.screen.records;
    watch.ask();
    watch.has([a]).tell();
    watch.has([b, a]).tell();
    expect(watch.screen.records[0]).toEqual(old);
    expect(watch.screen.records[0]).not.toBe(old);
  });

  test.each([3, Infinity])("keeps its array where no record changed, in parts of %d", (chunk) => {
    const watch = live(many(10));
    const { records } = watch.screen;
    watch.chunk = chunk;
    watch.ask();
    watch.tellAll();
    expect(watch.screen.records).toBe(records);
  });

  test("stays when it is asked for once more before the new one is whole", () => {
    const watch = live(many(10));
    const { records } = watch.screen;
    watch.has(many(8)).chunk = 3;
    watch.ask();
    watch.tell();
    watch.ask();
    expect(watch.screen.records).toBe(records);
    watch.tellAll();
    expect(watch.screen.records).toEqual(records.slice(0, 8));
    expect(watch.screen.records[0]).toBe(records[0]);
  });

  test("gives way to a whole one also while the watch reconnects, for it was live before", () => {
    const watch = live([b, a]);
    watch.has([c], "reconnecting").ask();
    expect(shows(watch)).toEqual(["c v0"]);
  });

  test("gives way to a whole one of a watch that was never live, if it was this watch's own", () => {
    const watch = new Watch().has([b, a], "reconnecting");
    watch.open();
    watch.has([c, a], "reconnecting").ask();
    expect(shows(watch)).toEqual(["c v0", "a v0"]);
    watch.has([c], "reconnecting").tell();
    expect(shows(watch)).toEqual(["c v0"]);
  });
});

describe("records from before the watch was opened", () => {
  const opened = {
    "by an earlier store's start": () => {
      const watch = new Watch([b, a]);
      watch.has([], "connecting").open();
      return watch;
    },
    "under a handle that Rust forgot": () => {
      const watch = live([b, a]);
      watch.has([], "connecting").open();
      return watch;
    },
  };

  describe.each(Object.entries(opened))("%s", (_, open) => {
    test("stay until the watch is live, however whole its list", () => {
      const watch = open();
      const { records } = watch.screen;
      watch.has([b], "reconnecting");
      expect(size(watch.tell())).toBe("reconnecting 2");
      expect(watch.screen.records).toBe(records);
      watch.has([c, b]).tell();
      expect(shows(watch)).toEqual(["c v0", "b v0"]);
      expect(watch.screen.records[1]).toBe(records[0]);
    });

    test("stay until the list of a live watch is whole", () => {
      const watch = open();
      const { records } = watch.screen;
      watch.has(many(5)).chunk = 3;
      watch.tell();
      expect(watch.screen.records).toBe(records);
      watch.tell();
      expect(shows(watch)).toEqual(texts(many(5)));
    });

    test("stay when the state is asked for once more meanwhile", () => {
      const watch = open();
      const { records } = watch.screen;
      watch.has([b], "reconnecting").ask();
      expect(watch.screen.records).toBe(records);
    });

    test("are the same array if the watch is live with nothing else", () => {
      const watch = open();
      const { records } = watch.screen;
      watch.has([b, a]).tell();
      expect(watch.screen.records).toBe(records);
    });
  });

  test("stay no longer once the watch was live, though it reconnects before its list is whole", () => {
    const watch = new Watch([b, a]);
    watch.has([], "reconnecting").open();
    watch.has(many(5)).chunk = 3;
    expect(size(watch.tell())).toBe("live 2");
    expect(size(watch.has(many(5), "reconnecting").tell())).toBe("reconnecting 5");
  });
});

describe("edits while records are held", () => {
  /** A watch that was opened again, of which Rust has no records yet. */
  function outage(...records: WireRecord[]): Watch {
    const watch = new Watch(records);
    watch.has([], "reconnecting").open();
    return watch;
  }

  test("show at once: an edit in the place of its record, a new record first", () => {
    const watch = outage(b, a);
    watch.has([pending(c), pending(b)], "reconnecting").tell();
    expect(shows(watch)).toEqual(["c v1", "b v1", "a v0"]);
  });

  test("that are taken back give back what they stood for", () => {
    const watch = outage(b, a);
    watch.has([pending(c), pending(b)], "reconnecting").tell();
    watch.has([], "reconnecting").tell();
    expect(shows(watch)).toEqual(["b v0", "a v0"]);
    expect(watch.screen.records[0]).toBe(b);
  });

  test("give it back although the state was asked for while they showed", () => {
    const watch = outage(b, a);
    watch.has([pending(b)], "reconnecting").tell();
    const [edit] = watch.screen.records;
    watch.ask();
    expect(watch.screen.records[0]).toBe(edit);
    watch.has([], "reconnecting").tell();
    expect(watch.screen.records[0]).toBe(b);
  });

  test("give way to what they stood for, the same object, although the state was asked for while they showed", () => {
    const watch = outage(b, a);
    watch.has([pending(b)], "reconnecting").tell();
    watch.ask();
    watch.has([b, a]).tell();
    expect(watch.screen.records[0]).toBe(b);
  });

  test("of before, which Rust has no more, go once it told all that it has", () => {
    const watch = outage(pending(c), b);
    expect(shows(watch)).toEqual(["b v0"]);
  });

  test("of before, which Rust has no more, give back what they took the place of", () => {
    const watch = live([b, a]);
    watch.has([pending(b), a]).tell();
    watch.has([pending(b, 2), a]).tell();
    watch.has([], "reconnecting").open();
    expect(watch.screen.records).toEqual([b, a]);
  });

  test("of before stay while Rust is told of them again, and then as it knows them", () => {
    const watch = live([b, a]);
    watch.has([pending(c), pending(b), a]).tell();
    const before = watch.screen.records;
    watch.has([], "connecting").open(true);
    expect(watch.screen.records).toBe(before);
    watch.has([pending(c), b, a]).tell();
    expect(watch.screen.records).toBe(before);
    watch.has([pending(c), pending(b), a]).ask();
    expect(watch.screen.records).toBe(before);
    watch.has([b, a]).tell();
    expect(shows(watch)).toEqual(["b v0", "a v0"]);
  });

  test("of before go at once if access ends while Rust is told of them again", () => {
    const watch = new Watch([pending(c), b]);
    watch.has([], "connecting").open(true);
    watch.has([], "closed", { kind: "access-lost", message: "no member" }).tell();
    expect(watch.screen.records).toEqual([]);
  });

  test("of before stay as long as Rust may still tell them", () => {
    const watch = live([pending(c), ...many(4)]);
    watch.has([...many(3), pending(c)]).chunk = 2;
    watch.ask();
    expect(shows(watch)).toEqual(["c v1", "r0 v0", "r1 v0", "r2 v0", "r3 v0"]);
    watch.tell();
    expect(shows(watch)).toEqual(["r0 v0", "r1 v0", "r2 v0", "c v1"]);
  });
});

describe("a watch that ends", () => {
  test("shows its end with all its records, not before", () => {
    const watch = new Watch().has(many(10), "closed");
    watch.chunk = 4;
    expect([watch.open(), watch.tell(), watch.tell()].map(size)).toEqual([undefined, undefined, "closed 10"]);
  });

  const ended = (kind: ErrorKind) => {
    const watch = new Watch([b, a]);
    watch.has([], "connecting").open();
    watch.has([], "closed", { kind, message: "over" });
    return size(watch.tell());
  };

  test.each(["access-lost", "forbidden", "not-found"] as const)(
    "for %s takes what is held with it, though it was never live",
    (kind) => expect(ended(kind)).toBe("closed 0"),
  );

  test.each(["connect", "disconnected", "http-status", "auth-required", "mint-failed"] as const)(
    "for %s before it was live leaves what is held on screen",
    (kind) => expect(ended(kind)).toBe("closed 2"),
  );
});

describe("a delta", () => {
  test("that comes twice, or that a state overtook, has nothing to show and changes nothing", () => {
    const watch = live([b, a]);
    const first = watch.has([c]).delta();
    expect(size(watch.screen.apply(structuredClone(first)))).toBe("live 1");
    expect(watch.screen.apply(first)).toBeUndefined();
    const overtaken = watch.has([b]).delta();
    watch.ask();
    const { records } = watch.screen;
    expect(watch.screen.apply(overtaken)).toBeUndefined();
    expect([watch.screen.records, watch.screen.rev]).toEqual([records, overtaken.rev]);
    expect(texts(records)).toEqual(["b v0"]);
  });

  test("that does not follow is a gap and changes nothing; a state mends it", () => {
    const watch = live([b, a]);
    const { records, rev } = watch.screen;
    watch.has([c, b]).delta();
    expect(watch.has([c]).tell()).toBe("gap");
    expect([watch.screen.records, watch.screen.rev]).toEqual([records, rev]);
    watch.ask();
    expect(shows(watch)).toEqual(["c v0"]);
  });

  test("gives a changed record a new object, and leaves the others theirs", () => {
    const watch = live([b, a]);
    const [, old] = watch.screen.records;
    watch.has([record("b", 1), a]).tell();
    expect(shows(watch)).toEqual(["b v1", "a v0"]);
    expect(watch.screen.records[1]).toBe(old);
  });

  test("that only changes the status keeps the array", () => {
    const watch = live([b, a]);
    const { records } = watch.screen;
    expect(size(watch.has([b, a], "reconnecting").tell())).toBe("reconnecting 2");
    expect(watch.screen.records).toBe(records);
  });
});

describe("profiles", () => {
  const ann = { did: "did:plc:ann", handle: "ann.test" };
  const bob = { did: "did:plc:bob", handle: "bob.test" };

  test("show as Rust tells them, and stay the same objects until they change", () => {
    const watch = live([a]);
    const first = (watch.knows({ [ann.did]: ann }).tell() as Shown).profiles;
    expect(first).toEqual({ [ann.did]: ann });
    const second = (watch.has([b, a]).tell() as Shown).profiles;
    expect(second).toBe(first);
    const third = (watch.knows({ [ann.did]: { ...ann }, [bob.did]: bob }).tell() as Shown).profiles;
    expect(third).toEqual({ [ann.did]: ann, [bob.did]: bob });
    expect(third[ann.did]).toBe(first[ann.did]);
    // The same, said anew.
    expect(watch.ask()?.profiles).toBe(third);
    expect((watch.knows({}).tell() as Shown).profiles).toEqual({});
  });

  test("stay as long as records are held which may need them, and go with them", () => {
    const watch = new Watch([a], { [ann.did]: ann }).has([], "connecting");
    expect(watch.open()?.profiles).toEqual({ [ann.did]: ann });
    const more = watch.knows({ [bob.did]: bob }).tell() as Shown;
    expect(more.profiles).toEqual({ [ann.did]: ann, [bob.did]: bob });
    const whole = watch.has([b], "live").tell() as Shown;
    expect(whole.profiles).toEqual({ [bob.did]: bob });
  });

  test("go when access has ended", () => {
    const watch = new Watch([a], { [ann.did]: ann }).has([], "closed", {
      kind: "access-lost",
      message: "gone",
    });
    expect(watch.open()?.profiles).toEqual({});
  });
});

describe("a delta is interim", () => {
  test.each([
    ["with the next part of a list, but not with the last", 3, 10, [true, true, false]],
    ["not with the first records, though more are on their way", 0, 10, [false, true, true, false]],
    ["not where it takes the last record", 3, 0, [false]],
  ])("%s", (_, before, after, interim) => {
    const watch = live(many(before));
    watch.has(many(after)).chunk = 3;
    const seen = interim.map(() => {
      const delta = watch.delta();
      const is = watch.screen.isInterim(delta);
      watch.screen.apply(delta);
      return is;
    });
    expect(seen).toEqual(interim);
  });

  test("while nothing has come and a list is about to", () => {
    const watch = new Watch().has([], "connecting");
    watch.open();
    expect(watch.screen.isInterim(watch.has([], "snapshot").delta())).toBe(true);
  });

  test("not where it empties a list that is about to come anew", () => {
    const watch = live([a]);
    expect(watch.screen.isInterim(watch.has([], "snapshot").delta())).toBe(false);
  });

  test("not when a state overtook it", () => {
    const watch = live(many(3));
    watch.has(many(10)).chunk = 3;
    const delta = watch.delta();
    expect(watch.screen.isInterim(delta)).toBe(true);
    watch.ask();
    expect(watch.screen.isInterim(delta)).toBe(false);
  });
});

describe("older records show", () => {
  test("with the revision with which they come", () => {
    const watch = live([b]);
    watch.screen.expect(watch.screen.rev + 1);
    expect(watch.screen.showsExpected).toBe(false);
    watch.has([b, a]).tell();
    expect(watch.screen.showsExpected).toBe(true);
  });

  test("once the list is whole that begins with that revision", () => {
    const watch = live([b]);
    watch.screen.expect(watch.screen.rev + 1);
    watch.has([b, ...many(4)]).chunk = 2;
    watch.tell();
    expect(watch.screen.showsExpected).toBe(false);
    watch.tell();
    expect(watch.screen.showsExpected).toBe(true);
  });

  test("at once where Rust had told them before", () => {
    const watch = live([b]);
    watch.screen.expect(watch.screen.rev);
    expect(watch.screen.showsExpected).toBe(true);
  });

  test("with the next whole state, whatever its revision", () => {
    const watch = live([b]);
    watch.screen.expect(100);
    watch.has([b, ...many(4)]).chunk = 3;
    watch.ask();
    expect(watch.screen.showsExpected).toBe(false);
    watch.tell();
    expect(watch.screen.showsExpected).toBe(true);
  });

  test("not while something else is held", () => {
    const watch = new Watch([b]);
    watch.has([b, a], "reconnecting").open();
    watch.screen.expect(watch.screen.rev);
    expect(watch.screen.showsExpected).toBe(false);
    watch.has([b, a]).tell();
    expect(watch.screen.showsExpected).toBe(true);
  });
});
