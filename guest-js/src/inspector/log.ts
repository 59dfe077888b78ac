import type { LivePart } from "../bindings/LivePart.js";
import type { LogEntry } from "../bindings/LogEntry.js";
import { copy } from "./copy.js";
import { button, element, say } from "./dom.js";
import { clock, of } from "./words.js";

/** Lines that are kept. */
const LINES = 500;

/** A line as a text, for copying and for the filter. It stays one, whatever a server's words hold. */
function text({ at, watch, kind, words }: LogEntry): string {
  return `${clock(at)} w${watch} ${kind} ${words}`.replace(/\p{Cc}+/gu, " ").trimEnd();
}

/** What happens, line by line: to be stopped, filtered and copied. */
export class Log {
  readonly #pause = button("Pause", () => this.#setPaused(!this.#paused));
  readonly #copy = button("Copy", () => void this.#copyAll());
  readonly #filter = element("input", {
    type: "search",
    placeholder: "Filter",
    "aria-label": "Filter the log",
  });
  readonly #list = element("ol", { tabindex: 0, "aria-label": "Lines of the log" });
  readonly #told = element("span", { class: "told" });
  readonly root = element(
    "section",
    // Read out line by line nobody could hear anything else.
    { class: "log", role: "log", "aria-live": "off", "aria-label": "Log" },
    element("h4", {}, "Log"),
    element("div", { class: "tools" }, this.#filter, this.#told, this.#pause, this.#copy),
    this.#list,
  );
  #lines: LogEntry[] = [];
  #missed = 0;
  #paused = false;
  /** Until then it says whether the lines were copied. */
  #copied: ReturnType<typeof setTimeout> | undefined;
  /** The last line that is shown, or was passed over. */
  #shown = 0;

  constructor() {
    this.#filter.addEventListener("input", () => this.#drawAnew());
    this.#filter.addEventListener("keydown", (event) => {
      // The first Escape empties it, the next one closes the inspector.
      if (event.key !== "Escape" || this.#filter.value === "") return;
      event.stopPropagation();
      this.#filter.value = "";
      this.#drawAnew();
    });
  }

  add({ lines, missed }: LivePart): void {
    this.#missed += missed;
    this.#lines.push(...lines);
    this.#lines.splice(0, this.#lines.length - LINES);
    if (!this.#paused) this.#draw();
    this.#tell();
  }

  /** Nothing is said of what was copied any more. */
  rest(): void {
    clearTimeout(this.#copied);
    say(this.#copy, "Copy");
  }

  #tell(): void {
    const after = this.#lines.filter(({ seq }) => seq > this.#shown).length;
    if (this.#paused) say(this.#told, `${of(after, "line")} since`);
    else say(this.#told, this.#missed > 0 ? `${of(this.#missed, "line")} left out` : "");
  }

  #setPaused(paused: boolean): void {
    this.#paused = paused;
    this.#pause.toggleAttribute("data-on", paused);
    say(this.#pause, paused ? "Go on" : "Pause");
    if (!paused) this.#draw();
    this.#tell();
  }

  /** The lines up to the one where it was stopped, as far as the filter lets them through. */
  #wanted(): LogEntry[] {
    const wanted = this.#filter.value.trim().toLowerCase();
    const fits = (line: LogEntry) => wanted === "" || text(line).toLowerCase().includes(wanted);
    return this.#lines.filter((line) => (!this.#paused || line.seq <= this.#shown) && fits(line));
  }

  #drawAnew(): void {
    const shown = this.#shown;
    this.#list.replaceChildren();
    if (!this.#paused) this.#shown = 0;
    this.#append(this.#wanted());
    if (this.#paused) this.#shown = shown;
  }

  #draw(): void {
    this.#append(this.#wanted().filter(({ seq }) => seq > this.#shown));
  }

  #append(lines: LogEntry[]): void {
    if (lines.length === 0) return this.#passOver();
    const { scrollTop, scrollHeight, clientHeight } = this.#list;
    const follows = scrollHeight - scrollTop - clientHeight < 24;
    this.#list.append(...lines.slice(-LINES).map(row));
    const over = [...this.#list.children].slice(0, -LINES);
    for (const row of over) row.remove();
    this.#passOver();
    if (follows) this.#list.scrollTop = this.#list.scrollHeight;
  }

  /** All that is there was shown, or does not fit the filter. */
  #passOver(): void {
    this.#shown = this.#lines[this.#lines.length - 1]?.seq ?? this.#shown;
  }

  async #copyAll(): Promise<void> {
    const done = await copy(this.#wanted().map(text).join("\n"), this.root);
    this.rest();
    say(this.#copy, done ? "Copied" : "Not copied");
    if (this.root.isConnected) this.#copied = setTimeout(() => this.rest(), 1500);
  }
}

function row(line: LogEntry): HTMLElement {
  return element(
    "li",
    { "data-kind": line.kind },
    element("time", {}, clock(line.at)),
    element("span", { class: "number" }, `w${line.watch}`),
    element("span", { class: "kind", title: line.kind }, line.kind),
    element("span", { class: "words" }, line.words),
  );
}
