import type { InspectedWatch } from "../bindings/InspectedWatch.js";
import type { Inspection } from "../bindings/Inspection.js";
import { callPlugin } from "../call.js";
import { toWatchError, type WatchError } from "../error.js";
import { Announcer } from "./announce.js";
import { Detail, type Deed } from "./detail.js";
import { button, element, say } from "./dom.js";
import { Histories } from "./history.js";
import { Log } from "./log.js";
import { Poll } from "./poll.js";
import { dress } from "./styles.js";
import { Timeline } from "./timeline.js";
import { Watches } from "./watches.js";
import { of } from "./words.js";

/** What a deed is called once it is done. */
const DONE = {
  drop: "The connection was dropped",
  refresh: "The list is being fetched anew",
  "clear-cache": "The cached rows are gone",
  offline: "All watches are offline",
  online: "All watches may connect again",
};

/** Servers have no elements, and may import this all the same. */
const Base = globalThis.HTMLElement ?? (class {} as typeof HTMLElement);

/**
 * `<watch-inspector>`: all watches of the app, each with its figures, its timeline and what may be done to it, and a log of
 * what happens in them. It asks the plugin twice a second while it is in the document and the page can be seen.
 *
 * The window's capability must have `contrail-sync:allow-inspect`. Give it a size: it fills what it gets. Its colours are
 * CSS variables, `--watch-inspector-bg` and others; by default they follow the system's light or dark.
 *
 * Events: `close`, when Escape or the button for it was pressed, where it has the attribute `closable`.
 */
export class WatchInspector extends Base {
  readonly #histories = new Histories();
  readonly #watches = new Watches(() => this.#show());
  readonly #detail = new Detail((deed) => void this.#act(deed, this.#watches.chosen));
  readonly #timeline = new Timeline();
  readonly #log = new Log();
  readonly #announcer = new Announcer();
  readonly #summary = element("p", { class: "summary" });
  readonly #trouble = element("p", { class: "trouble", role: "alert", hidden: true });
  readonly #offline = button("Go offline", () => void this.#act(this.#told?.offline ? "online" : "offline"), {
    "data-deed": "offline",
  });
  readonly #poll = new Poll(
    (told) => this.#hear(told),
    (error) => this.#fail(error),
  );
  #told: Inspection | undefined;
  /** What is wrong is that the last deed was refused: that stays until the next one. */
  #isRefused = false;

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    dress(root);
    const close = button("×", () => this.#close(), {
      class: "close",
      "aria-label": "Close the inspector",
      title: "Close (Esc)",
    });
    const head = element(
      "header",
      { class: "head" },
      element("h2", {}, "Watches"),
      this.#summary,
      this.#offline,
      close,
    );
    const events = element("div", { class: "events" }, this.#timeline.root, this.#log.root);
    const body = element("div", { class: "body" }, this.#watches.root, this.#detail.root, events);
    const panel = element("div", { class: "panel", role: "region", "aria-label": "Watch inspector" });
    panel.append(head, this.#trouble, body, this.#announcer.root);
    root.append(panel);
    root.addEventListener("keydown", (event) => {
      if ((event as KeyboardEvent).key === "Escape") this.#close();
    });
    this.#detail.show(undefined, undefined, 0);
  }

  /** The document has it now. */
  connectedCallback(): void {
    this.#poll.start();
  }

  /** The document has it no more. */
  disconnectedCallback(): void {
    this.#poll.stop();
    this.#log.rest();
  }

  /** Moves the keyboard to the list of watches. */
  override focus(options?: FocusOptions): void {
    this.#watches.root.focus(options);
  }

  #close(): void {
    if (this.hasAttribute("closable")) this.dispatchEvent(new Event("close"));
  }

  #hear(told: Inspection): void {
    if (told.unanswered) told.watches = withBusy(told.watches, this.#told?.watches ?? []);
    this.#told = told;
    this.#trouble.hidden = !this.#isRefused;
    this.#histories.look(told.watches, told.now);
    this.#watches.show(told.watches, this.#histories);
    this.#announcer.hear(told.watches);
    this.#log.add(told.log);
    this.#show();
  }

  #show(): void {
    const told = this.#told;
    if (!told) return;
    const live = told.watches.filter(({ status }) => status === "live").length;
    const busy = told.unanswered ? `, ${told.unanswered} busy` : "";
    const parts = [
      `${of(told.watches.length, "watch", "watches")}, ${live} live${busy}`,
      of(told.counters.connects, "connect"),
      `${told.counters.mended} mended`,
    ];
    say(this.#summary, parts.join(" · "));
    say(this.#offline, told.offline ? "Go online" : "Go offline");
    this.#offline.toggleAttribute("data-on", told.offline);
    const chosen = told.watches.find(({ id }) => id === this.#watches.chosen);
    this.#detail.show(chosen, chosen && this.#histories.of(chosen.id), told.now);
    this.#timeline.show(chosen?.id, chosen?.timeline ?? []);
  }

  async #act(deed: Deed | "offline" | "online", watch?: number): Promise<void> {
    this.#isRefused = false;
    try {
      await callPlugin("inspect_act", watch === undefined ? { deed } : { deed, watch });
      say(this.#announcer.root, DONE[deed]);
    } catch (reason) {
      this.#fail(toWatchError(reason), true);
    }
    this.#poll.hurry();
  }

  #fail({ kind, message }: WatchError, isRefused = false): void {
    this.#isRefused = isRefused;
    const hint = kind === "ipc" ? " Does the window have contrail-sync:allow-inspect?" : "";
    this.#trouble.hidden = false;
    say(this.#trouble, message + hint);
  }
}

/** A watch that was too busy to answer is as it was: it has not gone. */
function withBusy(answered: InspectedWatch[], before: InspectedWatch[]): InspectedWatch[] {
  return [...new Map([...before, ...answered].map((it) => [it.id, it])).values()];
}

/** The name of the element. */
export const NAME = "watch-inspector";

/** Makes `<watch-inspector>` known to the page. A second time is fine. */
export function defineInspector(): void {
  if (!customElements.get(NAME)) customElements.define(NAME, WatchInspector);
}
