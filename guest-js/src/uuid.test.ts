import { afterEach, expect, test, vi } from "vitest";
import { uuid } from "./uuid.js";

afterEach(() => vi.unstubAllGlobals());

const V4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

test("is a UUID of version 4, another one each time", () => {
  const made = Array.from({ length: 1000 }, uuid);
  for (const it of made) expect(it).toMatch(V4);
  expect(new Set(made).size).toBe(made.length);
});

test("needs no secure context", () => {
  const getRandomValues = (bytes: Uint8Array) => bytes.fill(255);
  vi.stubGlobal("crypto", { getRandomValues });
  expect(uuid()).toBe("ffffffff-ffff-4fff-bfff-ffffffffffff");
});
