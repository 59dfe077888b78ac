import type { PendingWrite, WriteState } from "tauri-plugin-contrail-sync-api";
import { expect, test } from "vitest";
import type { MessageRecord } from "./chat.js";
import { edited, hasNews, newMessage, waiting } from "./writes.js";

const ALICE = "did:plc:alice";
const writes = (...states: WriteState[]) => states.map((state, id) => ({ id, state }) as PendingWrite);

test("a new message says when it was written, and which one it answers", () => {
  const { value, ...rest } = newMessage(ALICE, "hello", "at://parent");
  expect(rest).toEqual({ did: ALICE, collection: "com.example.chat.message" });
  expect(value).toMatchObject({ text: "hello", reply: { uri: "at://parent" } });
  expect(Math.abs(Date.parse(value.createdAt ?? "") - Date.now())).toBeLessThan(10_000);
  expect(newMessage(ALICE, "hello").value).not.toHaveProperty("reply");
});

test("an edited message keeps all but its text", () => {
  const value = { text: "old", createdAt: "2026-05-20T12:00:00Z", reply: { uri: "at://parent" }, mood: 7 };
  const message = { did: ALICE, collection: "c", rkey: "r", value, cid: "bafy", time_us: 1 };
  const edit = edited(message as unknown as MessageRecord, "new");
  expect(edit).toEqual({ did: ALICE, collection: "c", rkey: "r", value: { ...value, text: "new" } });
});

test("what the server has taken waits no more", () => {
  expect(waiting(writes("failed", "queued", "sending", "sent", "unconfirmed"))).toBe(3);
  expect(waiting([])).toBe(0);
});

test("there is news when the server has just taken a write, or has another version", () => {
  expect(hasNews(writes("queued", "sending"), writes("queued", "sent"))).toBe(true);
  expect(hasNews([], writes("unconfirmed"))).toBe(true);
  expect(hasNews(writes("queued", "sent"), writes("sending", "unconfirmed"))).toBe(false);
  expect(hasNews(writes("sent"), [])).toBe(false);
  const failed = (kind: string) => writes("failed").map((it) => ({ ...it, error: { kind, message: "no" } }));
  expect(hasNews(writes("sending"), failed("conflict"))).toBe(true);
  expect(hasNews(failed("conflict"), failed("conflict"))).toBe(false);
  expect(hasNews(writes("sending"), failed("invalid-record"))).toBe(false);
});
