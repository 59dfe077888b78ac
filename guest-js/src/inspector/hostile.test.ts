// What the plugin tells may be anybody's words: the inspector shows them as they are, and nothing of them is markup.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { InspectedWatch } from "../bindings/InspectedWatch.js";
import { FakeInspected, inspected, line } from "../testing/inspected.js";
import { defineInspector, openInspector } from "../inspector.js";

let plugin: FakeInspected;
let close: (() => void) | undefined;

beforeEach(() => {
  vi.useFakeTimers();
  plugin = new FakeInspected();
});
afterEach(() => {
  close?.();
  document.body.replaceChildren();
  vi.useRealTimers();
  vi.restoreAllMocks();
  FakeInspected.uninstall();
});

async function opened(): Promise<ShadowRoot> {
  close = openInspector();
  await vi.advanceTimersByTimeAsync(0);
  return document.querySelector("watch-inspector")!.shadowRoot!;
}
const later = () => vi.advanceTimersByTimeAsync(600);

/** Every text of `value` is hostile. */
function poisoned<T>(value: T, words: string): T {
  if (typeof value === "string") return words as T;
  if (Array.isArray(value)) return value.map((it) => poisoned(it, words)) as T;
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, it]) => [name, poisoned(it, words)])) as T;
}

/** The names of all elements and attributes, and the values of those that could do something. */
function markup(root: ParentNode): Set<string> {
  const found = new Set<string>();
  for (const it of root.querySelectorAll("*")) {
    found.add(it.localName);
    for (const { name, value } of it.attributes) {
      found.add(/^(on|href|src|style|xlink)/.test(name) ? `${name}=${value}` : `@${name}`);
    }
  }
  return found;
}

/** Has each member that may be left out. */
const full = (id: number, more: Partial<InspectedWatch> = {}) =>
  inspected(id, {
    actor: "actor",
    error: { kind: "server", message: "m" },
    fallbacks: [{ from: "ws", to: "sse", why: "why" }],
    poll: { position: "p", intervalMs: 1000, lists: 2 } as never,
    bounds: ["b"],
    leftOut: 3,
    ...more,
  });

test.each([
  `<img src=x onerror="alert(1)"><svg onload=alert(2)><script>alert(3)</script>`,
  `"]<style>*{display:none}</style><a href="javascript:alert(1)">x</a>`,
  `x" onmouseover="alert(1)" style="position:fixed`,
  "\u202Egpj.exe\u202C \u2066\u0000\uD83D \u0301\u0301\u0301",
  "constructor",
  "__proto__",
])("no text that the plugin tells becomes markup: %j", async (words) => {
  plugin.watches = [full(1), full(2)];
  plugin.lines = [line(1, "a")];
  const plain = await opened();
  const before = markup(plain);
  close!();
  plugin.watches = poisoned([full(1), full(2)], words);
  plugin.lines = [poisoned(line(1, "a"), words)];
  const root = await opened();
  expect(root.querySelectorAll("[role=option]")).toHaveLength(2);
  expect([...markup(root)].sort()).toEqual([...before].sort());
  // What is no name of a carrier is no member of all objects, either.
  expect(root.textContent).not.toMatch(/function|native code/);
  plugin.refuses = words;
  await later();
  expect([...markup(root)].sort()).toEqual([...before].sort());
  expect(root.querySelector("[role=alert]")!.textContent).toContain(words.trim().slice(0, 10));
});

test("members that are missing, or no numbers, show as nothing known, and the rest goes on", async () => {
  plugin.watches = [
    { id: 1 } as InspectedWatch,
    full(2, {
      events: NaN,
      bytes: NaN,
      records: null as never,
      latencyMs: Infinity,
      heardAt: "soon" as never,
    }),
    full(3, { collection: "fine" }),
  ];
  const root = await opened();
  expect(root.querySelectorAll("[role=option]")).toHaveLength(3);
  for (const key of ["ArrowDown", "ArrowDown"]) {
    root.querySelector("[role=listbox]")!.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  }
  expect(root.querySelector("h3")!.textContent).toBe("fine");
  expect(root.textContent).not.toMatch(/NaN|undefined|Infinity|\[object/);
  expect(root.querySelector<HTMLElement>("[role=alert]")!.hidden).toBe(true);
});

test.each([[null], ["text"], [{}], [{ watches: {}, log: null }], [[]]])(
  "an answer that is none, such as %j, is trouble, and the next one is heard",
  async (answer) => {
    plugin.instead = answer;
    const root = await opened();
    expect(root.querySelector<HTMLElement>("[role=alert]")!.hidden).toBe(false);
    plugin.instead = undefined;
    await vi.advanceTimersByTimeAsync(3100);
    expect(root.querySelector<HTMLElement>("[role=alert]")!.hidden).toBe(true);
    expect(root.querySelectorAll("[role=option]")).toHaveLength(1);
  },
);

describe("when it goes", () => {
  test("no timer and no listener is left, whatever was under way", async () => {
    const listeners = new Set<string>();
    for (const target of [document, window]) {
      vi.spyOn(target, "addEventListener").mockImplementation((type) => void listeners.add(type));
      vi.spyOn(target, "removeEventListener").mockImplementation((type) => void listeners.delete(type));
    }
    const root = await opened();
    root.querySelectorAll<HTMLButtonElement>(".log button")[1]!.click();
    await vi.advanceTimersByTimeAsync(0);
    close!();
    expect(vi.getTimerCount()).toBe(0);
    expect([...listeners]).toEqual([]);
  });

  test("an answer that comes later changes nothing", async () => {
    const root = await opened();
    let answer!: () => void;
    plugin.holds = new Promise<void>((resolve) => (answer = resolve));
    await later();
    close!();
    plugin.watches = [inspected(9, { collection: "late" })];
    answer();
    await later();
    expect(root.textContent).not.toContain("late");
    expect(vi.getTimerCount()).toBe(0);
  });

  test("and comes again, it goes on with the log that it had", async () => {
    defineInspector();
    plugin.lines = [line(1, "a")];
    const panel = document.createElement("watch-inspector");
    document.body.append(panel);
    await later();
    const other = document.body.appendChild(document.createElement("div"));
    other.append(panel);
    await later();
    panel.remove();
    await later();
    plugin.lines.push(line(2, "b"));
    document.body.append(panel);
    await later();
    const words = [...panel.shadowRoot!.querySelectorAll(".log .words")].map((it) => it.textContent);
    expect(words).toEqual(["a", "b"]);
    const before = plugin.asked.length;
    await vi.advanceTimersByTimeAsync(5000);
    expect(plugin.asked.length - before).toBeLessThanOrEqual(11);
    panel.remove();
  });
});

test("a line of the log that is copied stays one line", async () => {
  const writeText = vi.fn().mockResolvedValue(undefined);
  vi.stubGlobal("navigator", { clipboard: { writeText } });
  plugin.lines = [line(1, "a\n12:00:00.000 w2 purged b\r\u2028c")];
  const root = await opened();
  [...root.querySelectorAll<HTMLButtonElement>(".log button")].at(-1)!.click();
  await vi.advanceTimersByTimeAsync(0);
  expect(writeText.mock.lastCall![0].split(/[\n\r]/)).toHaveLength(1);
  vi.unstubAllGlobals();
});

test("hundreds of watches and a full log are told again and again without a new element", async () => {
  plugin.watches = Array.from({ length: 300 }, (_, n) =>
    inspected(n + 1, { space: `ats://${"x".repeat(5000)}/${n}` }),
  );
  plugin.lines = Array.from({ length: 600 }, (_, n) => line(n + 1, "\u202E" + "\u{1F600}".repeat(n)));
  const root = await opened();
  expect(root.querySelectorAll("[role=option]")).toHaveLength(300);
  expect(root.querySelectorAll(".log li")).toHaveLength(500);
  const before = [...root.querySelectorAll("*")];
  await later();
  expect([...root.querySelectorAll("*")].every((it, n) => it === before[n])).toBe(true);
});

test("two elements ask by themselves, and each has its own choice", async () => {
  plugin.watches.push(inspected(2, { collection: "other" }));
  defineInspector();
  const [one, other] = [1, 2].map(() => document.body.appendChild(document.createElement("watch-inspector")));
  await later();
  other!.shadowRoot!.querySelector<HTMLElement>("[data-watch='2']")!.click();
  const titles = [one, other].map((it) => it!.shadowRoot!.querySelector("h3")!.textContent);
  expect(titles).toEqual(["message", "other"]);
  one!.remove();
  await later();
  expect(other!.shadowRoot!.querySelector("h3")!.textContent).toBe("other");
  other!.remove();
  expect(vi.getTimerCount()).toBe(0);
});

test("a page without constructable sheets gets its style as an element", async () => {
  vi.resetModules();
  vi.stubGlobal("CSSStyleSheet", undefined);
  const { dress } = await import("./styles.js");
  const root = document.createElement("div").attachShadow({ mode: "open" });
  dress(root);
  expect(root.querySelector("style")!.textContent).toContain(":host");
  vi.unstubAllGlobals();
});

test("a page that has no body yet gets it, too", async () => {
  const body = vi.spyOn(document, "body", "get").mockReturnValue(null as never);
  close = openInspector();
  body.mockRestore();
  expect(document.querySelector("watch-inspector")).not.toBeNull();
});

describe("who listens instead of looking", () => {
  test("hears of statuses and of trouble, and of no figure", async () => {
    const root = await opened();
    const live = root.querySelectorAll(
      "[role=status], [role=alert], [aria-live]:not([aria-live=off]), output",
    );
    expect([...live].map((it) => it.getAttribute("role"))).toEqual(["alert", "status"]);
    expect(root.querySelector("[role=log]")!.getAttribute("aria-live")).toBe("off");
  });

  test("is told what is a list, what an option, and what a button does next", async () => {
    plugin.lines = [line(1, "a")];
    const root = await opened();
    for (const option of root.querySelectorAll("[role=option]")) {
      expect(option.parentElement!.getAttribute("role")).toBe("listbox");
      expect(option.getAttribute("aria-label")).toBeTruthy();
      expect(option.getAttribute("aria-selected")).toMatch(/true|false/);
    }
    // An item of what is no list has no role.
    for (const item of root.querySelectorAll("li:not([role])")) {
      expect(item.parentElement!.localName).toBe("ol");
      expect(item.parentElement!.hasAttribute("role")).toBe(false);
    }
    // A button whose name says what comes next is no switch: "Go online, on" says the reverse.
    expect(root.querySelector("[aria-pressed]")).toBeNull();
    for (const region of root.querySelectorAll("ol, [role=listbox]")) {
      expect(region.getAttribute("aria-label")).toBeTruthy();
      expect(region.getAttribute("tabindex")).toBe("0");
    }
  });
});
