// @vitest-environment node
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { createSqliteCache } from "./cache.js";
import { wireOptions } from "./options.js";

/** What an app may get wrong, and who refuses it in which words: the plugin's tests in Rust read the same table. */
interface Wrong {
  given: Record<string, unknown>;
  /** What gets to Rust of it, if it is something else. */
  wire?: unknown;
  page?: string;
  rust?: string;
}
const fixture = new URL("../../tests/fixtures/wrong-options.json", import.meta.url).pathname;
const table: Wrong[] = JSON.parse(readFileSync(decodeURIComponent(fixture), "utf8"));

const url = "/watch";
const wire = (options: Record<string, unknown>) => wireOptions({ url, ...options } as never);

describe("what Rust gets of the options", () => {
  test("is every option that is not the page's own", () => {
    const own = { compareRecords: () => 0, logger: console };
    const passed = { transport: "sse", reconnect: false, account: "did:plc:alice", idleTimeout: 9000 };
    const cache = { cacheKey: "k", cacheMaxRecords: 5 };
    expect(wire({ ...own, ...passed, ...cache })).toEqual({ url, ...passed, ...cache });
  });

  test("is whether to cache, and nothing where the app's default is good", () => {
    expect(wire({ cache: true })).toEqual({ url, cache: true });
    expect(wire({ cache: createSqliteCache() })).toEqual({ url, cache: true });
    expect(wire({ cache: false, cacheKey: "k" })).toEqual({ url, cache: false, cacheKey: "k" });
    expect(wire({})).not.toHaveProperty("cache");
    expect(wire({ cache: undefined })).not.toHaveProperty("cache");
  });

  test("is the order, the filter and the window", () => {
    const window = { sort: { by: "value.n", order: "asc" }, where: { "value.room": "a" }, maxRecords: 50 };
    expect(wire(window)).toEqual({ url, ...window });
  });

  test("is nothing for an option that is undefined, such as the account of nobody", () => {
    const none = { account: undefined, where: undefined, sort: undefined, maxRecords: undefined };
    expect(wire({ ...none, reconnect: undefined, cacheKey: undefined })).toStrictEqual({ url });
    expect(wire({ sort: { by: "rkey", order: undefined } })).toStrictEqual({ url, sort: { by: "rkey" } });
  });

  test("is a string mintTicket as ticket", () => {
    expect(wire({ mintTicket: "t1" })).toEqual({ url, ticket: "t1" });
  });

  test("is a function or a named minter by its kind alone", () => {
    expect(wire({ mintTicket: () => "t1" })).toEqual({ url, mint: true });
    expect(wire({ mintTicket: { minter: "session" } })).toEqual({ url, minter: "session" });
    expect(wire({ mintTicket: undefined })).toEqual({ url });
  });

  test("is an option that nobody knows, or of a wrong type, for Rust to refuse by name", () => {
    expect(wire({ urll: "x" })).toEqual({ url, urll: "x" });
    expect(wire({ cache: "sqlite" })).toEqual({ url, cache: "sqlite" });
  });
});

describe("wrong options", () => {
  test.each(table.filter(({ page }) => page))("are refused by name: $page", ({ given, page }) => {
    expect(() => wireOptions(given as never)).toThrow(
      expect.objectContaining({ kind: "invalid-options", message: page }),
    );
  });

  test.each(table.filter(({ rust }) => rust))("get to Rust, which says: $rust", ({ given, wire }) => {
    expect(wireOptions(given as never)).toEqual(wire ?? given);
  });
});

describe("an option that cannot be had", () => {
  test.each([
    ["unsupported", /Rust has one.*give true/, { cache: { read: () => [], write: () => {} } }],
    ["invalid-options", /^cacheMaxRecords: cannot send Infinity$/, { cacheMaxRecords: Infinity }],
    ["invalid-options", /^idleTimeout: cannot send NaN$/, { idleTimeout: NaN }],
    ["invalid-options", /^where\["value.n"\]: cannot send NaN$/, { where: { "value.n": NaN } }],
    ["invalid-options", /^sort.by: cannot send a Function$/, { sort: { by: () => "rkey" } }],
    ["invalid-options", /^mintTicket: no string/, { mintTicket: 5 }],
    ["invalid-options", /^mintTicket: no string/, { mintTicket: null }],
    ["invalid-options", /^mintTicket: no string/, { mintTicket: { minter: 5 } }],
    ["invalid-options", /^mintTicket: no string/, { mintTicket: ["t1"] }],
    ["invalid-options", /^where: "value.room" is undefined$/, { where: { "value.room": undefined } }],
    ["invalid-options", /^sort: "by" is undefined$/, { sort: { by: undefined, order: "asc" } }],
    ["invalid-options", /^mintTicket: no string/, { mintTicket: { minter: undefined } }],
    ["invalid-options", /^url is Undefined/, { url: undefined }],
    ["invalid-options", /^url is empty$/, { url: "" }],
    ["invalid-options", /^account: cannot send half a character$/, { account: "\ud83d" }],
    ["invalid-options", /^cacheKey: cannot send a Symbol$/, { cacheKey: Symbol("k") }],
    ["invalid-options", /^maxRecords: cannot send a BigInt$/, { maxRecords: 5n }],
    ["invalid-options", /^onError: cannot send a Function$/, { onError: () => {} }],
  ])("is refused as %s: %s", (kind, message, options) => {
    expect(() => wire(options)).toThrow(
      expect.objectContaining({ kind, message: expect.stringMatching(message) }),
    );
  });
});
