// A scene as it is for a picture: the same each time.
import { Scene } from "../scene.mjs";
import { decode } from "./png.mjs";

/** The minute 0 of each scene, and what time it is in the windows: a Friday evening. */
const START = Date.parse("2026-05-22T17:00:00Z");
const NOW_MINUTE = 60;

export const SCHEMES = ["light", "dark"];
/**
 * Texts and times are written alike everywhere, and drawn by the processor: what else draws is not exact, and draws letters a
 * little otherwise each time. GTK's theme is what the page takes for light or dark.
 */
const env = (scheme) => ({
  TZ: "UTC",
  LANG: "C.UTF-8",
  LC_ALL: "C.UTF-8",
  WEBKIT_SKIA_ENABLE_CPU_RENDERING: "1",
  GTK_THEME: scheme === "dark" ? "Adwaita:dark" : "Adwaita",
});

export class Stage {
  scene;
  #scheme;

  static async set(scheme, messages, options = {}) {
    const stage = new Stage();
    stage.#scheme = scheme;
    stage.scene = await Scene.set(messages, { ...options, start: START });
    return stage;
  }

  /** Opens the chat, in which nobody is signed in. */
  async open(more = {}) {
    await this.scene.open(undefined, { ...env(this.#scheme), ...more });
    await this.enter();
  }

  /** Stops the clock of the window's page, which asks who is here. */
  async enter() {
    await this.scene.text("sign-in");
    await this.scene.window.run(stopClock, START + 60_000 * NOW_MINUTE);
  }

  async signIn(did) {
    await this.scene.click(`sign-in-${did.split(":").at(-1)}`);
  }

  /** It is so many minutes later in the window. */
  async later(minutes = 1) {
    await this.scene.window.run((ms) => (globalThis.stopped += ms), 60_000 * minutes);
  }

  /**
   * A picture of the window, or of what `of` selects in it, and where it may differ from one time to the next, which is what
   * `masks` select, in the inspector too.
   */
  async picture({ of = "body", masks = [] } = {}) {
    const { window } = this.scene;
    await window.letGo();
    await window.run(freeze);
    await window.still();
    const boxes = await window.run(boxesOf, of, masks);
    const shot = await window.screenshot(of === "body" ? undefined : of);
    return { image: decode(shot), boxes };
  }

  strike() {
    return this.scene.strike();
  }
}

/** In the page: whoever asks what time it is hears the same until it is told otherwise. Time that passes is still measured. */
function stopClock(now) {
  globalThis.stopped = now;
  globalThis.Date = class extends Date {
    constructor(...given) {
      if (given.length > 0) super(...given);
      else super(globalThis.stopped);
    }
  };
}

/** In the page: nothing moves, blinks, fades or has the focus any more. */
function freeze() {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`*, *::before, *::after {
    animation: none !important; transition: none !important; caret-color: transparent !important; }`);
  const inspector = document.querySelector("watch-inspector")?.shadowRoot;
  for (const root of [document, inspector]) {
    if (!root) continue;
    root.activeElement?.blur();
    root.adoptedStyleSheets.push(sheet);
    // Scrollbars fade some time after they were used.
    for (const element of root.querySelectorAll("*")) {
      if (getComputedStyle(element).overflowY === "auto") element.style.overflow = "hidden";
    }
  }
}

/** In the page: where these elements are within the first one, in pixels. */
function boxesOf(of, masks) {
  const frame = document.querySelector(of).getBoundingClientRect();
  const inspector = document.querySelector("watch-inspector")?.shadowRoot;
  return masks
    .flatMap((mask) => [document, inspector].flatMap((root) => [...(root?.querySelectorAll(mask) ?? [])]))
    .map((element) => element.getBoundingClientRect())
    .map(({ left, top, right, bottom }) => ({
      left: Math.floor(left - frame.left),
      top: Math.floor(top - frame.top),
      right: Math.ceil(right - frame.left),
      bottom: Math.ceil(bottom - frame.top),
    }));
}
