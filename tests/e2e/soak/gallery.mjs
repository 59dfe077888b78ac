// The gallery: one list in three frameworks, each in a window of its own.
import { join } from "node:path";
import { ALICE, TARGET } from "../scene.mjs";

const NOTES = 40;

export class Gallery {
  program = process.env.E2E_GALLERY ?? join(TARGET, "debug/gallery");
  /** The window from which the others are opened: it reloads, but stays. */
  driver = "vue";
  others = ["react", "solid"];
  acts = {};
  #appview;
  #random;
  /** rkey to text, in the order in which they were written last. */
  #notes = new Map();
  #said = 0;

  constructor(appview, random) {
    this.#appview = appview;
    this.#random = random;
  }

  async begin() {
    this.space = await this.#appview.control("openSpace", { key: "notes", owner: ALICE });
    for (let i = 0; i < 5; i++) await this.write();
  }

  env(url) {
    return { GALLERY_APPVIEW: url, GALLERY_QUERY: this.space.query, GALLERY_PROBE: "1" };
  }

  /** Something is written, edited or deleted on the server. */
  async write() {
    const keys = [...this.#notes.keys()];
    const known = keys[this.#random(Math.max(keys.length, 1))];
    const at = { spaceUri: this.space.uri, collection: "message", did: ALICE };
    if (keys.length > NOTES || (keys.length > 5 && this.#random(5) === 0)) {
      // Some deletions tell nobody, as on a server whose purge is behind.
      await this.#appview.control("delete", { ...at, rkey: known, silent: this.#random(4) === 0 });
      this.#notes.delete(known);
      return;
    }
    const rkey = known && this.#random(3) === 0 ? known : `n${++this.#said}`;
    const text = `Note ${++this.#said}`;
    await this.#appview.control("put", { ...at, rkey, record: { text } });
    this.#notes.delete(rkey);
    this.#notes.set(rkey, text);
  }

  /** Nothing waits to be sent: it only reads. */
  async settle() {}

  /** What the server lists, newest first: `[rkey, text]`. */
  async wanted() {
    return [...this.#notes].toReversed();
  }

  /** Runs in a page: whether it is live and shows this. */
  shows = (wanted) => {
    const list = document.querySelector("ol");
    const text = (row) => [...row.childNodes].map((node) => (node.nodeType === 3 ? node.data : "")).join("");
    const shown = [...list.querySelectorAll("li")].map((row) => [row.id, text(row).trim()]);
    return list.dataset.status === "live" && JSON.stringify(shown) === JSON.stringify(wanted);
  };
}
