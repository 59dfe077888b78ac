import { describe, expect, test } from "vitest";
import { wireOptions } from "./options.js";

const url = "/watch";
const wire = (options: Record<string, unknown>) => wireOptions({ url, ...options } as never);

describe("what Rust gets of the options", () => {
  test("is every option that is not the page's own", () => {
    const own = { compareRecords: () => 0, logger: console, cache: false, cacheKey: "k", cacheMaxRecords: 5 };
    const passed = { transport: "sse", reconnect: false, account: "did:plc:alice", idleTimeout: 9000 };
    expect(wire({ ...own, ...passed })).toEqual({ url, ...passed });
  });

  test("is a string mintTicket as ticket", () => {
    expect(wire({ mintTicket: "t1" })).toEqual({ url, ticket: "t1" });
  });

  test("is an option that nobody knows, for Rust to refuse by name", () => {
    expect(wire({ urll: "x" })).toEqual({ url, urll: "x" });
  });
});

describe("an option that cannot be had", () => {
  test.each([
    ["unsupported", /SQLite cache/, { cache: true }],
    ["unsupported", /cached in Rust/, { cache: { read: () => [], write: () => {} } }],
    ["unsupported", /a function is not supported/, { mintTicket: () => Promise.resolve("t") }],
    ["unsupported", /a named minter is not supported/, { mintTicket: { minter: "m" } }],
    ["invalid-options", /onError.*function/, { onError: () => {} }],
  ])("is refused as %s: %s", (kind, message, options) => {
    expect(() => wire(options)).toThrow(
      expect.objectContaining({ kind, message: expect.stringMatching(message) }),
    );
  });
});
