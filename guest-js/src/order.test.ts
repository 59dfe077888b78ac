import { afterEach, beforeEach, describe, expect, expectTypeOf, test, vi } from "vitest";
import { Page } from "./testing/page.js";
import { record, texts } from "./testing/records.js";
import type { WatchRecord, WatchStore } from "./types.js";

let page: Page;

beforeEach(async () => (page = await Page.open()));
afterEach(() => page.close());

describe("compareRecords", () => {
  test("sorts this store's records, now and later, and leaves the others alone", async () => {
    const byKey = (a: WatchRecord, b: WatchRecord) => a.rkey.localeCompare(b.rkey);
    const sorted = await page.started({ compareRecords: byKey });
    const plain = await page.started();
    expect(texts(sorted.records)).toEqual(["a v0", "b v0"]);
    await page.plugin.push({ records: [record("c"), record("b"), record("a", 1)] });
    expect(texts(sorted.records)).toEqual(["a v1", "b v0", "c v0"]);
    expect(texts(plain.records)).toEqual(["c v0", "b v0", "a v1"]);
  });

  test("keeps the sorted array while no record changes", async () => {
    const store = await page.started({ compareRecords: () => 0 });
    const { records } = store;
    await page.plugin.push({ status: "reconnecting" });
    expect(store.records).toBe(records);
  });

  test("that throws is reported, and the records keep Rust's order", async () => {
    const error = vi.fn();
    const compareRecords = () => {
      throw new Error("oops");
    };
    const store = await page.started({ compareRecords, logger: { error } });
    expect(texts(store.records)).toEqual(["b v0", "a v0"]);
    expect(error).toHaveBeenCalledOnce();
  });
});

test("records are typed by the store's parameter", () => {
  type Body = { text: string };
  expectTypeOf<WatchStore<Body>["records"][number]["value"]>().toEqualTypeOf<Body>();
  expectTypeOf<WatchStore["records"][number]["value"]>().toEqualTypeOf<Record<string, unknown>>();
  expectTypeOf<WatchStore<Body>["records"][number]["rkey"]>().toEqualTypeOf<string>();
  expectTypeOf<WatchStore<Body>["records"][number]["time_us"]>().toEqualTypeOf<number>();
  expectTypeOf<WatchStore<Body>["records"][number]["reactions"]>().toEqualTypeOf<unknown>();
  // @ts-expect-error records are not to be changed in place
  const change = (store: WatchStore) => store.records.push();
  expect(change).toBeTypeOf("function");
});
