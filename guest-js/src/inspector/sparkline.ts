import { drawn, mark } from "./dom.js";
import { rate } from "./words.js";

const [WIDTH, HEIGHT] = [240, 36];
/** Looks that fit in. */
const PLACES = 60;

/** A line of events per second. */
export class Sparkline {
  readonly #line = drawn("polyline", { class: "line" });
  readonly #area = drawn("polygon", { class: "area" });
  readonly root = drawn(
    "svg",
    { class: "sparkline", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" },
    this.#area,
    this.#line,
  );

  /** The newest rate is at the end, and at the right. */
  show(rates: readonly number[]): void {
    // A quiet watch is a line on the ground, not noise.
    const most = Math.max(1, ...rates);
    const left = PLACES - rates.length;
    const points = rates.map((value, n) => {
      const x = ((left + n) / (PLACES - 1)) * WIDTH;
      return `${x.toFixed(1)},${(HEIGHT - 2 - (value / most) * (HEIGHT - 5)).toFixed(1)}`;
    });
    const first = ((left / (PLACES - 1)) * WIDTH).toFixed(1);
    mark(this.#line, "points", points.join(" "));
    mark(this.#area, "points", [`${first},${HEIGHT}`, ...points, `${WIDTH},${HEIGHT}`].join(" "));
    mark(
      this.root,
      "aria-label",
      `Events per second in the last half minute, at most ${rate(Math.max(0, ...rates))}`,
    );
  }
}
