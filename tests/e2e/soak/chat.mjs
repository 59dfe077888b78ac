// The chat: tickets, a cache, reactions, and an outbox through which alice writes in any of three windows, while others
// write on the server.
import { join } from "node:path";
import { ALICE, BOB, CAROL, TARGET } from "../scene.mjs";

/** A list shows 50 at once: these and alice's fit in. */
const [THEIRS, OWN] = [25, 10];

export class Chat {
  /** Tickets run out meanwhile. */
  static appviewArgs = ["--ticket-ttl-ms", "20000"];
  program = process.env.E2E_CHAT ?? join(TARGET, "debug/chat");
  /** The window from which the others are opened: it reloads, but stays. */
  driver = "main";
  others = ["main-2", "main-3"];
  #appview;
  #random;
  /** rkeys of what others wrote. */
  #theirs = [];
  #said = 0;
  #last = 0;

  constructor(appview, random) {
    this.#appview = appview;
    this.#random = random;
  }

  async begin() {
    ({ uri: this.space } = await this.#appview.control("space", { key: "trail-talk", owner: ALICE }));
    for (const did of [BOB, CAROL]) await this.#appview.control("addMember", { spaceUri: this.space, did });
    for (let i = 0; i < 5; i++) await this.write();
  }

  env(url) {
    return {
      CHAT_APPVIEW: url,
      CHAT_SPACE: this.space,
      CHAT_PEOPLE: [ALICE, BOB, CAROL].join(),
      CHAT_DID: ALICE,
      CHAT_PROBE: "1",
    };
  }

  /** Somebody else writes, edits, reacts or deletes. */
  async write() {
    const known = this.#theirs[this.#random(Math.max(this.#theirs.length, 1))];
    const at = { spaceUri: this.space, collection: "message", did: BOB };
    if (this.#theirs.length > THEIRS || (this.#theirs.length > 5 && this.#random(5) === 0)) {
      // Some deletions tell nobody, as on a server whose purge is behind.
      await this.#appview.control("delete", { ...at, rkey: known, silent: this.#random(4) === 0 });
      this.#theirs.splice(this.#theirs.indexOf(known), 1);
      return;
    }
    if (known && this.#random(4) === 0) return this.#react(known);
    const isNew = !known || this.#random(3) > 0;
    const rkey = isNew ? `m${++this.#said}` : known;
    const record = {
      $type: "com.example.chat.message",
      text: `Message ${++this.#said}`,
      createdAt: this.#now(),
    };
    await this.#appview.control("put", { ...at, rkey, record });
    if (isNew) this.#theirs.push(rkey);
  }

  /** No two messages are of one time: what stands on top would be anybody's guess. */
  #now() {
    this.#last = Math.max(Date.now(), this.#last + 1);
    return new Date(this.#last).toISOString();
  }

  #react(rkey) {
    const subject = { uri: `at://${BOB}/com.example.chat.message/${rkey}` };
    const record = { $type: "com.example.chat.reaction", emoji: "🌲", subject, createdAt: this.#now() };
    const at = { spaceUri: this.space, collection: "reaction", did: CAROL, rkey: `r-${rkey}` };
    return this.#appview.control("put", { ...at, record });
  }

  /** What alice does in a window, beside the faults that come from outside: she writes, gives what she wrote another text, or deletes it. */
  acts = {
    writes: async (window) => {
      if ((await this.#own(window)) < OWN) await this.#say(window, `Own ${++this.#said}`);
    },
    edits: (window) => this.#choose(window, "edit", () => this.#say(window, `Own ${++this.#said}`)),
    deletes: (window) => this.#choose(window, "delete", () => {}),
  };

  #own(window) {
    const count = (did) => document.querySelectorAll(`[data-testid=message][data-did="${did}"]`).length;
    return window.run(count, ALICE);
  }

  async #say(window, text) {
    await window.until("there is a composer", () => document.querySelector("[data-testid=composer]"));
    await window.run((text) => {
      const composer = document.querySelector("[data-testid=composer]");
      composer.value = text;
      composer.dispatchEvent(new Event("input", { bubbles: true }));
    }, text);
    await window.until(`${text} can be sent`, () => {
      const send = document.querySelector("[data-testid=send]");
      if (!send || send.disabled) return false;
      send.click();
      return true;
    });
    const shows = (text) =>
      [...document.querySelectorAll("[data-testid=text]")].some((it) => it.textContent.trim() === text);
    await window.until(`${text} is shown`, shows, [text]);
  }

  /** Chooses `act` in the menu of one of alice's messages, if there is one that has it. */
  async #choose(window, act, then) {
    const chosen = await window.run(
      async (act, mine, pick) => {
        const all = [...document.querySelectorAll(`[data-testid=message][data-did="${mine}"]`)];
        const menus = all.map((message) => message.querySelector("[data-testid=more]")).filter(Boolean);
        if (menus.length === 0) return false;
        const menu = menus[pick % menus.length];
        menu.click();
        await new Promise(requestAnimationFrame);
        const item = menu.closest("[data-testid=message]")?.querySelector(`[data-testid=${act}]`);
        item?.click();
        return Boolean(item);
      },
      act,
      ALICE,
      this.#random(1000),
    );
    if (chosen) await then();
  }

  /** Waits until the server has what was written here. */
  async settle(window) {
    await window.run(async () => {
      const { invoke } = globalThis.__TAURI_INTERNALS__;
      const end = Date.now() + 45_000;
      for (;;) {
        const writes = await invoke("plugin:contrail-sync|pending_writes", { account: null });
        // One that is sent waits for nothing but the list to show it.
        if (writes.every(({ state }) => state === "sent" || state === "confirmed")) return;
        if (Date.now() > end) throw new Error(`never sent: ${JSON.stringify(writes)}`);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    });
  }

  /** What the server lists, oldest first: `[rkey, text]`. */
  async wanted() {
    const { ticket } = await this.#appview.control("ticket", {
      spaceUri: this.space,
      collection: "message",
      did: ALICE,
      hydrate: ["reactions"],
    });
    const query = new URLSearchParams({
      spaceUri: this.space,
      ticket,
      mode: "ws",
      limit: "100",
    });
    const answer = await fetch(`${this.#appview.url}/xrpc/com.example.message.watchRecords?${query}`);
    if (!answer.ok) throw new Error(`the list: ${answer.status} ${await answer.text()}`);
    const { snapshot } = await answer.json();
    const time = ({ value }) => Date.parse(value.createdAt);
    const oldestFirst = snapshot.records.toSorted((a, b) => time(a) - time(b));
    return oldestFirst.map(({ rkey, value }) => [rkey, value.text]);
  }

  /** Runs in a page: whether it is live, shows this, and nothing of it waits to be sent. */
  shows = (wanted) => {
    const shown = [...document.querySelectorAll("[data-testid=message]")].map((message) => [
      message.dataset.rkey,
      message.querySelector("[data-testid=text]")?.textContent.trim(),
    ]);
    const status = document.querySelector("[data-testid=status]")?.dataset.status;
    const waits = Number(document.querySelector("[data-testid=waiting]")?.dataset.count ?? 0);
    return status === "live" && waits === 0 && JSON.stringify(shown) === JSON.stringify(wanted);
  };
}
