import type { InspectedWatch } from "../bindings/InspectedWatch.js";
import { element, mark, say } from "./dom.js";
import type { Histories } from "./history.js";
import { carrier, of, rate, title, whose } from "./words.js";

/** The keys that move, and how far. */
const MOVES: Record<string, number> = { ArrowUp: -1, ArrowDown: 1, Home: -Infinity, End: Infinity };

/** A watch in the list. */
class Row {
  readonly #name = element("span", { class: "name" });
  readonly #whose = element("span", { class: "whose" });
  readonly #rate = element("span", { class: "rate" });
  readonly #more = element("span", { class: "more" });
  readonly root: HTMLElement;

  constructor(id: number) {
    const dot = element("span", { class: "dot", "aria-hidden": "true" });
    this.root = element(
      "li",
      { role: "option", id: `watch-${id}`, "data-watch": id },
      dot,
      this.#name,
      this.#rate,
      this.#whose,
      this.#more,
    );
  }

  show(watch: InspectedWatch, perSecond: number): void {
    mark(this.root, "data-status", watch.status);
    say(this.#name, title(watch));
    say(this.#whose, whose(watch));
    say(this.#rate, `${rate(perSecond)}/s`);
    say(this.#more, `${of(watch.records, "record")} · ${carrier(watch)}`);
    const words = `${title(watch)} of ${whose(watch)}, ${watch.status}, ${of(watch.records, "record")}`;
    mark(this.root, "aria-label", words);
  }
}

/** The list of watches: a listbox, of which one is chosen. */
export class Watches {
  readonly root = element("ul", { class: "watches", role: "listbox", tabindex: 0, "aria-label": "Watches" });
  /** The one that is looked at. */
  chosen: number | undefined;
  readonly #rows = new Map<number, Row>();
  readonly #onchoose: () => void;

  constructor(onchoose: () => void) {
    this.#onchoose = onchoose;
    this.root.addEventListener("keydown", (event) => this.#key(event));
    this.root.addEventListener("click", ({ target }) => {
      const row = (target as Element).closest<HTMLElement>("[data-watch]");
      if (row) this.choose(Number(row.dataset["watch"]));
    });
  }

  show(watches: InspectedWatch[], histories: Histories): void {
    const here = new Set(watches.map(({ id }) => id));
    for (const [id, row] of this.#rows) {
      if (here.has(id)) continue;
      row.root.remove();
      this.#rows.delete(id);
    }
    for (const watch of watches) {
      let row = this.#rows.get(watch.id);
      if (!row) {
        this.#rows.set(watch.id, (row = new Row(watch.id)));
        this.root.append(row.root);
      }
      row.show(watch, histories.of(watch.id).now);
    }
    if (this.chosen === undefined || !here.has(this.chosen)) this.chosen = watches[0]?.id;
    this.#mark();
  }

  choose(id: number): void {
    if (id === this.chosen) return;
    this.chosen = id;
    this.#mark();
    this.#rows.get(id)?.root.scrollIntoView?.({ block: "nearest" });
    this.#onchoose();
  }

  #key(event: KeyboardEvent): void {
    const move = MOVES[event.key];
    const ids = [...this.#rows.keys()];
    if (move === undefined || ids.length === 0) return;
    event.preventDefault();
    const at = ids.indexOf(this.chosen ?? -1) + move;
    this.choose(ids[Math.min(Math.max(at, 0), ids.length - 1)]!);
  }

  #mark(): void {
    for (const [id, row] of this.#rows) mark(row.root, "aria-selected", String(id === this.chosen));
    if (this.chosen === undefined) this.root.removeAttribute("aria-activedescendant");
    else mark(this.root, "aria-activedescendant", `watch-${this.chosen}`);
  }
}
