import type { InspectedWatch } from "../bindings/InspectedWatch.js";
import { button, element, mark, say } from "./dom.js";
import { facts } from "./facts.js";
import type { History } from "./history.js";
import { Sparkline } from "./sparkline.js";
import { rate, title } from "./words.js";

/** What may be done to a watch. */
export type Deed = "drop" | "refresh" | "clear-cache";

/** A figure with its label. */
class Figure {
  readonly #words = element("dd");
  readonly root: HTMLElement;

  constructor(label: string) {
    this.root = element("div", { class: "fact" }, element("dt", {}, label), this.#words);
  }

  show(words: string | undefined, more: string | undefined): void {
    this.root.hidden = words === undefined;
    if (words === undefined) return;
    say(this.#words, words);
    mark(this.#words, "title", more ? `${words} – ${more}` : words);
  }
}

/** One watch and all its figures. */
export class Detail {
  readonly #title = element("h3");
  readonly #number = element("span", { class: "number" });
  readonly #rate = element("span", { class: "now" });
  readonly #error = element("p", { class: "error" });
  readonly #sparkline = new Sparkline();
  readonly #groups = element("div", { class: "groups" });
  readonly #figures = new Map<string, Figure>();
  readonly #clear: HTMLButtonElement;
  readonly root: HTMLElement;

  constructor(act: (deed: Deed) => void) {
    this.#clear = button("Clear cache", () => act("clear-cache"), { "data-deed": "clear-cache" });
    const deeds = element(
      "div",
      { class: "deeds", role: "group", "aria-label": "What to do to this watch" },
      button("Drop connection", () => act("drop"), { "data-deed": "drop" }),
      button("Refresh", () => act("refresh"), { "data-deed": "refresh" }),
      this.#clear,
    );
    const flow = element("div", { class: "flow" }, this.#sparkline.root, this.#rate);
    this.root = element(
      "section",
      { class: "detail", "aria-label": "Chosen watch", tabindex: -1 },
      element("header", {}, this.#title, this.#number),
      deeds,
      this.#error,
      flow,
      this.#groups,
    );
  }

  show(watch: InspectedWatch | undefined, history: History | undefined, now: number): void {
    this.root.hidden = !watch;
    if (!watch || !history) return;
    say(this.#title, title(watch));
    say(this.#number, `w${watch.id}`);
    this.#error.hidden = watch.error === null;
    say(this.#error, watch.error ? watch.error.message : "");
    say(this.#rate, `${rate(history.now)} events/s`);
    this.#sparkline.show(history.rates);
    this.#clear.disabled = watch.cache === null;
    for (const [group, all] of facts(watch, now)) {
      for (const [label, words, more] of all) this.#figure(group, label).show(words, more);
    }
  }

  #figure(group: string, label: string): Figure {
    const known = this.#figures.get(label);
    if (known) return known;
    const figure = new Figure(label);
    this.#figures.set(label, figure);
    let list = this.#groups.querySelector(`[aria-label="${group}"]`);
    if (!list) {
      list = element("dl", { "aria-label": group });
      this.#groups.append(list);
    }
    list.append(figure.root);
    return figure;
  }
}
