import { beforeEach, expect, test, vi } from "vitest";
import { line } from "../testing/inspected.js";
import { Log } from "./log.js";

let log: Log;
beforeEach(() => {
  log = new Log();
  document.body.replaceChildren(log.root);
});

const shown = () => [...log.root.querySelectorAll(".words")].map((it) => it.textContent);
const add = (...lines: ReturnType<typeof line>[]) =>
  log.add({ last: lines[lines.length - 1]?.seq ?? 0, missed: 0, lines });
const button = (n: number) => log.root.querySelectorAll("button")[n]!;
const told = () => log.root.querySelector(".told")!.textContent;

function filter(words: string) {
  const input = log.root.querySelector("input")!;
  input.value = words;
  input.dispatchEvent(new Event("input"));
}

test("stands still while it is paused, and has missed nothing when it goes on", () => {
  add(line(1, "a"));
  button(0).click();
  add(line(2, "b"), line(3, "c"));
  expect(shown()).toEqual(["a"]);
  expect(told()).toBe("2 lines since");
  filter("a");
  filter("");
  expect(shown()).toEqual(["a"]);
  button(0).click();
  expect(shown()).toEqual(["a", "b", "c"]);
  expect(told()).toBe("");
});

test("shows what fits the filter, of all that it has", () => {
  add(line(1, "at://alice/x"), line(2, "at://bob/x", "deleted"));
  filter("BOB");
  expect(shown()).toEqual(["at://bob/x"]);
  add(line(3, "at://bob/y"), line(4, "at://alice/y"));
  expect(shown()).toEqual(["at://bob/x", "at://bob/y"]);
  filter("deleted");
  expect(shown()).toEqual(["at://bob/x"]);
  filter("");
  expect(shown().length).toBe(4);
});

test("keeps the last 500 lines", () => {
  const all = Array.from({ length: 620 }, (_, n) => line(n + 1, String(n + 1)));
  for (let from = 0; from < all.length; from += 300) add(...all.slice(from, from + 300));
  expect(shown().length).toBe(500);
  expect(shown().at(-1)).toBe("620");
});

test("says how much was left out", () => {
  log.add({ last: 900, missed: 400, lines: [line(900, "z")] });
  expect(told()).toBe("400 lines left out");
});

test("copies what it shows", async () => {
  const writeText = vi.fn().mockResolvedValue(undefined);
  vi.stubGlobal("navigator", { clipboard: { writeText } });
  add(line(1, "a"), line(2, "b"));
  filter("b");
  button(1).click();
  await vi.waitFor(() => expect(button(1).textContent).toBe("Copied"));
  expect(writeText.mock.lastCall?.[0]).toMatch(/^\d\d:\d\d:\d\d\.\d{3} w1 created b$/);
  vi.unstubAllGlobals();
});
