import { expect, test } from "vitest";
import { indexOf } from "./indexing.js";
import { record } from "./testing/records.js";

test("a long list is indexed in slices, so that the page can do other things between them", async () => {
  const long = Array.from({ length: 10_000 }, (_, i) => record(`r${i}`));
  let others = 0;
  const other = setInterval(() => (others += 1));
  const index = await indexOf(long);
  clearInterval(other);
  expect(index.size).toBe(long.length);
  expect(others).toBeGreaterThan(0);
});
