import { expect, test } from "vitest";
import { Histories, History } from "./history.js";
import { Sparkline } from "./sparkline.js";

test("totals become events per second, however far apart the looks are", () => {
  const history = new History();
  history.look(100, 1000);
  expect(history.now).toBe(0);
  history.look(110, 1500);
  history.look(110, 2500);
  expect(history.rates).toEqual([20, 0]);
  expect(history.now).toBe(10);
});

test("half a minute is remembered, of watches that are there", () => {
  const histories = new Histories();
  for (let n = 0; n < 200; n += 1) histories.look([{ id: 1, events: n }], n * 500);
  expect(histories.of(1).rates.length).toBe(60);
  histories.look([{ id: 2, events: 0 }], 200_000);
  expect(histories.of(1).rates).toEqual([]);
});

test("a clock that stands still or goes back makes no rate of its own", () => {
  const history = new History();
  for (const at of [1000, 1000, 500]) history.look(10, at);
  expect(history.rates).toEqual([]);
});

test("the line ends at the right, and a peak reaches the top", () => {
  const sparkline = new Sparkline();
  sparkline.show([0, 50, 0]);
  const points = sparkline.root.querySelector("polyline")!.getAttribute("points")!.split(" ");
  expect(points.map((it) => Number(it.split(",")[1]))).toEqual([34, 3, 34]);
  expect(points[2]).toMatch(/^240/);
  expect(sparkline.root.getAttribute("aria-label")).toContain("at most 50");
});
