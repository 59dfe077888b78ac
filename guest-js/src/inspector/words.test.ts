import { expect, test } from "vitest";
import { inspected, NOW } from "../testing/inspected.js";
import { ago, bytes, carrier, rate, span, ticket, title, whose } from "./words.js";

test("numbers are as long as they mean something", () => {
  expect([0, 1023, 1024, 1_300_000, 2 ** 40].map(bytes)).toEqual([
    "0 B",
    "1023 B",
    "1.0 KiB",
    "1.2 MiB",
    "1024 GiB",
  ]);
  expect([0.4, 999, 1500, 61_000, 3_600_000, 9e7].map(span)).toEqual([
    "0 ms",
    "999 ms",
    "1.5 s",
    "61 s",
    "60 min",
    "25 h",
  ]);
  expect([0, 0.25, 12.4, 1234.5].map(rate)).toEqual(["0", "0.3", "12", "1,235"]);
  expect(ago(NOW, NOW + 10)).toBe("just now");
});

test("a watch is called by its collection and where its records are", () => {
  expect(title(inspected(1))).toBe("message");
  expect(title(inspected(1, { collection: null, url: "https://a.example/watch" }))).toBe("watch");
  expect(whose(inspected(1))).toBe("lounge");
  expect(whose(inspected(1, { space: null, actor: "did:plc:bob" }))).toBe("did:plc:bob");
  expect(whose(inspected(1, { space: null }))).toBe("everybody");
});

test("a transport says what it was asked to use where that is auto", () => {
  expect(carrier(inspected(1, { carrier: "ws" }))).toBe("auto → WebSocket");
  expect(carrier(inspected(1, { carrier: null }))).toBe("auto");
  expect(carrier(inspected(1, { transport: "poll", carrier: null }))).toBe("Lists");
});

test("a ticket is a word, and how long it lives", () => {
  expect(ticket({ state: "minting", expiresAt: null }, NOW)).toBe("minting");
  expect(ticket({ state: "expired", expiresAt: NOW - 5000 }, NOW)).toBe("expired, over 5.0 s ago");
});
