import type { InspectedWatch } from "../bindings/InspectedWatch.js";
import { element, say } from "./dom.js";
import { title } from "./words.js";

/** Tells those who listen that the status of a watch is another one, and nothing else. */
export class Announcer {
  readonly root = element("p", { class: "hidden", role: "status", "aria-live": "polite" });
  readonly #known = new Map<number, string>();

  hear(watches: InspectedWatch[]): void {
    const news: string[] = [];
    const here = new Set(watches.map(({ id }) => id));
    for (const id of this.#known.keys()) if (!here.has(id)) this.#known.delete(id);
    for (const watch of watches) {
      const known = this.#known.get(watch.id);
      this.#known.set(watch.id, watch.status);
      if (known !== undefined && known !== watch.status) news.push(`${title(watch)} is ${watch.status}`);
    }
    if (news.length > 0) say(this.root, news.join(", "));
  }
}
