import type { Moment } from "../bindings/Moment.js";
import { element } from "./dom.js";
import { clock } from "./words.js";

/** What happened to the connection of a watch, the newest first. */
export class Timeline {
  readonly #list = element("ol", { tabindex: 0, "aria-label": "Timeline, the newest first" });
  readonly root = element("section", { class: "timeline" }, element("h4", {}, "Timeline"), this.#list);
  /** What is shown, to be drawn anew only where it is something else. */
  #shown = "";

  show(id: number | undefined, moments: Moment[]): void {
    const last = moments[moments.length - 1];
    const shown = `${id} ${moments.length} ${moments[0]?.at} ${last?.at} ${last?.kind}`;
    if (shown === this.#shown) return;
    this.#shown = shown;
    const rows = moments.map(({ at, kind, words }) =>
      element(
        "li",
        { "data-kind": kind },
        element("time", {}, clock(at)),
        element("span", { class: "kind" }, kind),
        element("span", { class: "words" }, words),
      ),
    );
    this.#list.replaceChildren(...rows.reverse());
  }
}
