import { expect, test } from "vitest";
import { unpack } from "./record.js";
import { pack } from "./testing/pack.js";
import { record } from "./testing/records.js";

const other = { ...record("b"), did: "did:plc:bob", uri: "at://did:plc:bob/com.example.chat.message/b" };
const { space: _, ...open } = record("c");

test.each([
  ["that share everything", [record("a"), record("b")]],
  ["of two authors", [record("a"), other]],
  ["in a space and outside", [record("a"), open]],
  ["outside of any space", [open, { ...open, rkey: "d", uri: open.uri.replace(/c$/, "d") }]],
  ["alone", [other]],
])("records %s are what they were before they travelled", (_, records) => {
  const { common, packed } = pack(records);
  expect(packed.map((it) => unpack(it, common))).toEqual(records);
});
