import { describe, expect, test } from "vitest";
import type { MessageRecord } from "./chat.js";
import { dayName } from "./dates.js";
import { person, spaceName } from "./people.js";
import { arrivals, people, thread } from "./thread.js";

const NOON = new Date(2026, 4, 20, 12).getTime();

function message(
  who: string,
  rkey: string,
  minutes: number,
  more: Record<string, unknown> = {},
): MessageRecord {
  const did = `did:plc:${who}`;
  const collection = "com.example.chat.message";
  return {
    uri: `at://${did}/${collection}/${rkey}`,
    cid: null,
    value: { text: rkey },
    did,
    collection,
    rkey,
    time_us: (NOON + minutes * 60_000) * 1000,
    ...more,
  } as MessageRecord;
}

const reaction = (who: string, emoji: unknown) => ({ did: `did:plc:${who}`, value: { emoji } });

describe("a thread", () => {
  test("runs from the oldest message to the newest", () => {
    const rows = thread([message("bob", "second", 1), message("alice", "first", 0)], "did:plc:alice");
    expect(rows.map(({ text }) => text)).toEqual(["first", "second"]);
  });

  test("keeps messages of one author together until five minutes pass or a day ends", () => {
    const rows = thread(
      [
        message("bob", "next day", 24 * 60),
        message("bob", "late", 20),
        message("alice", "between", 3),
        message("bob", "two", 2),
        message("bob", "one", 0),
      ],
      "did:plc:alice",
    );
    expect(rows.map(({ first, last, newDay }) => [first, last, newDay])).toEqual([
      [true, false, true],
      [false, true, false],
      [true, true, false],
      [true, true, false],
      [true, true, true],
    ]);
  });

  test("quotes the message in the thread rather than the copy that came with the reply", () => {
    const edited = message("bob", "a", 0, { value: { text: "edited" } });
    const reply = { text: "r", reply: { uri: edited.uri } };
    const copy = { ...edited, value: { text: "old" } };
    const answer = message("alice", "r", 1, { value: reply, parent: copy });
    expect(thread([answer, edited], "")[1]?.quote).toMatchObject({ text: "edited", author: { name: "Bob" } });
    expect(thread([answer], "")[0]?.quote).toMatchObject({ text: "old" });
    const lonely = { ...answer, parent: undefined };
    expect(thread([lonely], "")[0]?.quote).toMatchObject({ author: null });
  });

  test("counts reactions by emoji and knows one's own", () => {
    const reactions = [reaction("bob", "👍"), reaction("alice", "👍"), reaction("carol", "🎉")];
    const [row] = thread([message("bob", "a", 0, { reactions })], "did:plc:alice");
    expect(row?.reactions).toEqual([
      { emoji: "👍", count: 2, names: "Bob, you", mine: true },
      { emoji: "🎉", count: 1, names: "Carol", mine: false },
    ]);
  });

  test.each([
    ["a body that is no object", { value: "text" }],
    ["a text that is no string", { value: { text: 7 } }],
    ["an empty reply", { value: { reply: null } }],
    ["a reply to a number", { value: { reply: { uri: 5 } } }],
    ["reactions that are no list", { reactions: { up: 1 } }],
    ["reactions without a body", { reactions: [null, {}, reaction("bob", 3)] }],
  ])("shows %s as nothing", (_, more) => {
    const [row] = thread([message("bob", "a", 0, { value: {}, ...more })], "");
    expect(row).toMatchObject({ text: "", quote: null, reactions: [] });
  });

  test("says when a message was written, not when it was edited", () => {
    const value = { text: "edited", createdAt: new Date(NOON).toISOString() };
    const [row] = thread([message("bob", "a", 90, { value })], "");
    expect(row?.time).toEqual(new Date(NOON));
    const [without] = thread([message("bob", "a", 90, { value: { createdAt: "at dawn" } })], "");
    expect(without?.time).toEqual(new Date(NOON + 90 * 60_000));
  });

  test("says what became of a message that was sent", () => {
    const error = { name: "Error", message: "no answer" };
    const rows = thread(
      [
        message("bob", "c", 2, { optimistic: "failed", optimisticError: error }),
        message("bob", "b", 1, { optimistic: "pending" }),
        message("bob", "a", 0),
      ],
      "",
    );
    expect(rows.map(({ state, reason }) => [state, reason])).toEqual([
      ["sent", ""],
      ["pending", ""],
      ["failed", "no answer"],
    ]);
  });

  test("says what is being deleted, and what the server has where that was changed meanwhile", () => {
    const conflict = { name: "conflict", message: "it was changed" };
    const failed = { optimistic: "failed", optimisticError: conflict };
    const rows = thread(
      [
        message("bob", "d", 3, failed),
        message("bob", "c", 2, { ...failed, serverValue: { text: "theirs" } }),
        message("bob", "b", 1, { optimistic: "pending", deleted: true }),
        message("bob", "a", 0),
      ],
      "",
    );
    expect(rows.map(({ deleted, conflict }) => [deleted, conflict])).toEqual([
      [false, null],
      [true, null],
      [false, { theirs: "theirs" }],
      [false, { theirs: null }],
    ]);
  });

  test("tells what came in from what is merely older", () => {
    const [a, b, c, d] = ["a", "b", "c", "d"].map((rkey, i) => message("bob", rkey, i));
    const rows = thread([d!, c!, b!, a!], "");
    const arrived = (...seen: number[]) =>
      arrivals(rows, new Set(seen.map((at) => rows[at]!.key))).map(({ text }) => text);
    expect(arrived(1, 3)).toEqual(["c"]);
    expect(arrived(0, 1)).toEqual(["c", "d"]);
    expect(arrived(0, 1, 2, 3)).toEqual([]);
    expect(arrived()).toEqual([]);
  });

  test("lists everybody who wrote, the last one first", () => {
    const records = [message("bob", "c", 2), message("alice", "b", 1), message("bob", "a", 0)];
    expect(people(records).map(({ name }) => name)).toEqual(["Bob", "Alice"]);
  });
});

test("a did and a space have names", () => {
  expect(person("did:plc:alice")).toMatchObject({ name: "Alice", initial: "A" });
  expect(person("did:web:example.com").name).toBe("Example com");
  expect(spaceName("ats://did:plc:alice/com.example.space/river-house")).toBe("River house");
});

test("days near today go by their relation to it", () => {
  const now = new Date(2026, 4, 20, 0, 5);
  expect(dayName(new Date(2026, 4, 20, 23), now)).toBe("Today");
  expect(dayName(new Date(2026, 4, 19, 23, 59), now)).toBe("Yesterday");
  expect(dayName(new Date(2025, 4, 20), now)).toContain("2025");
});
