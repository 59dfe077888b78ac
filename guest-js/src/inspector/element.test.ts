import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { FakeInspected, inspected, line, NOW } from "../testing/inspected.js";
import { openInspector } from "../inspector.js";

let plugin: FakeInspected;
let close: () => void;

beforeEach(() => {
  vi.useFakeTimers();
  plugin = new FakeInspected();
});

afterEach(() => {
  close?.();
  vi.useRealTimers();
  FakeInspected.uninstall();
});

/** Opens it, and waits for the first answer. */
async function opened(): Promise<ShadowRoot> {
  close = openInspector();
  await vi.advanceTimersByTimeAsync(0);
  return document.querySelector("watch-inspector")!.shadowRoot!;
}

/** Half a second later the plugin has been asked again. */
const later = () => vi.advanceTimersByTimeAsync(600);

const texts = (root: ShadowRoot, selector: string) =>
  [...root.querySelectorAll(selector)].map((it) => it.textContent);

const press = (at: EventTarget, key: string) =>
  at.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, composed: true, cancelable: true }));

test("shows each watch, and all figures of the chosen one", async () => {
  plugin.watches.push(inspected(2, { collection: "reaction", status: "reconnecting" }));
  const root = await opened();
  expect(texts(root, "[role=option] .name")).toEqual(["message", "reaction"]);
  const figures = texts(root, ".fact:not([hidden])");
  for (const figure of [
    "Statuslive",
    "Transportauto → SSE",
    "Latency13 ms",
    "Last word3.0 s ago",
    "Connects2, 1 again",
    "Shown41",
    "Held12.1 KiB",
    "Mended1 time",
    "Followersmain",
    "Ticketheld, 30 min left",
    "Cache40 rows, saved 2.0 s ago",
    "Waiting writes2",
  ]) {
    expect(figures).toContain(figure);
  }
  expect(texts(root, ".timeline .words")).toEqual(["41 records"]);
  expect(texts(root, ".summary")).toEqual(["2 watches, 1 live · 2 connects · 1 mended"]);
});

test("is used by keyboard: arrows choose, Escape closes and gives the keyboard back", async () => {
  plugin.watches = [1, 2, 3].map((id) => inspected(id, { collection: `c${id}` }));
  const before = document.body.appendChild(document.createElement("button"));
  before.focus();
  const root = await opened();
  const list = root.querySelector("[role=listbox]")!;
  expect(root.activeElement).toBe(list);
  const title = () => root.querySelector("h3")!.textContent;
  for (const [key, chosen] of [
    ["ArrowDown", "c2"],
    ["End", "c3"],
    ["ArrowDown", "c3"],
    ["ArrowUp", "c2"],
    ["Home", "c1"],
  ] as const) {
    press(list, key);
    expect(title()).toBe(chosen);
    expect(texts(root, "[aria-selected=true] .name")).toEqual([chosen]);
  }
  expect(list.getAttribute("aria-activedescendant")).toBe("watch-1");
  press(list, "Escape");
  expect(document.querySelector("watch-inspector")).toBeNull();
  expect(document.activeElement).toBe(before);
  before.remove();
});

test("shows a server's words as words", async () => {
  const words = '<img src=x onerror="alert(1)">';
  plugin.watches = [
    inspected(1, {
      collection: words,
      error: { kind: "server", message: words },
      timeline: [{ at: NOW, kind: "failed", words }],
      fallbacks: [{ from: "ws", to: "sse", why: words }],
    }),
  ];
  plugin.lines = [line(1, words)];
  const root = await opened();
  expect(root.querySelector("img")).toBeNull();
  for (const where of [".name", "h3", ".error", ".timeline .words", ".log .words"]) {
    expect(texts(root, where)).toEqual([words]);
  }
  // A strict policy refuses what is set as an attribute.
  expect(root.querySelector("[style]")).toBeNull();
});

test("asks twice a second, only while it is open and the page can be seen", async () => {
  await opened();
  await vi.advanceTimersByTimeAsync(5000);
  expect(plugin.asked.length).toBeGreaterThanOrEqual(10);
  expect(plugin.asked.length).toBeLessThanOrEqual(11);
  const hidden = vi.spyOn(document, "hidden", "get").mockReturnValue(true);
  document.dispatchEvent(new Event("visibilitychange"));
  const before = plugin.asked.length;
  await vi.advanceTimersByTimeAsync(5000);
  expect(plugin.asked.length).toBe(before);
  hidden.mockReturnValue(false);
  document.dispatchEvent(new Event("visibilitychange"));
  await later();
  expect(plugin.asked.length).toBeGreaterThan(before);
  close();
  const last = plugin.asked.length;
  await vi.advanceTimersByTimeAsync(5000);
  expect(plugin.asked.length).toBe(last);
});

test("asks for what is new in the log", async () => {
  plugin.lines = [line(1, "a"), line(2, "b")];
  const root = await opened();
  plugin.lines.push(line(3, "c"));
  await later();
  expect(texts(root, ".log .words")).toEqual(["a", "b", "c"]);
  expect(plugin.asked.slice(0, 2)).toEqual([{ since: 0 }, { since: 2 }]);
});

test("does what its buttons say, to the chosen watch or to all", async () => {
  plugin.watches.push(inspected(7, { cache: null }));
  const root = await opened();
  const click = async (deed: string) => {
    root.querySelector<HTMLButtonElement>(`[data-deed="${deed}"]`)!.click();
    await later();
  };
  for (const deed of ["drop", "refresh", "clear-cache", "offline"]) await click(deed);
  plugin.offline = true;
  await later();
  expect(texts(root, "[data-deed=offline]")).toEqual(["Go online"]);
  await click("offline");
  press(root.querySelector("[role=listbox]")!, "End");
  expect(root.querySelector<HTMLButtonElement>("[data-deed=clear-cache]")!.disabled).toBe(true);
  await click("drop");
  expect(plugin.deeds).toEqual([
    { deed: "drop", watch: 1 },
    { deed: "refresh", watch: 1 },
    { deed: "clear-cache", watch: 1 },
    { deed: "offline" },
    { deed: "online" },
    { deed: "drop", watch: 7 },
  ]);
});

test("tells those who listen that a status is another one, and nothing else", async () => {
  const root = await opened();
  const told = () => root.querySelector("[role=status]")!.textContent;
  plugin.watches = [inspected(1, { events: 900, records: 50 })];
  await later();
  expect(told()).toBe("");
  plugin.watches = [inspected(1, { status: "reconnecting" })];
  await later();
  expect(told()).toBe("message is reconnecting");
  expect(root.querySelector("[role=log]")!.getAttribute("aria-live")).toBe("off");
});

test("says that the permission is missing, asks less often, and goes on once it can", async () => {
  plugin.refuses = "contrail-sync.inspect_watches not allowed";
  const root = await opened();
  const trouble = root.querySelector<HTMLElement>("[role=alert]")!;
  expect(trouble.hidden).toBe(false);
  expect(trouble.textContent).toMatch(/not allowed.*contrail-sync:allow-inspect/);
  await vi.advanceTimersByTimeAsync(2900);
  expect(plugin.asked.length).toBe(1);
  plugin.refuses = undefined;
  await vi.advanceTimersByTimeAsync(200);
  expect(trouble.hidden).toBe(true);
});

test("a second opening means the panel that is open", async () => {
  await opened();
  const again = openInspector();
  expect(document.querySelectorAll("watch-inspector").length).toBe(1);
  again();
  expect(document.querySelector("watch-inspector")).toBeNull();
});

test("keeps a watch that is too busy to answer where it is, and chosen", async () => {
  const both = [inspected(1, { collection: "first" }), inspected(2, { collection: "second" })];
  plugin.watches = both;
  const root = await opened();
  root.querySelector<HTMLElement>('[data-watch="2"]')!.click();
  Object.assign(plugin, { watches: [both[0]!], unanswered: 1 });
  await later();
  expect(texts(root, "[role=option] .name")).toEqual(["first", "second"]);
  root.querySelector<HTMLButtonElement>('[data-deed="drop"]')!.click();
  await later();
  expect(plugin.deeds).toEqual([{ deed: "drop", watch: 2 }]);
  Object.assign(plugin, { watches: [both[0]!], unanswered: 0 });
  await later();
  expect(texts(root, "[role=option] .name")).toEqual(["first"]);
});

test("says why a deed was refused until the next one, however well it can look", async () => {
  const root = await opened();
  plugin.refusesDeed = { kind: "stopped", message: "the watch has ended" };
  const drop = root.querySelector<HTMLButtonElement>('[data-deed="drop"]')!;
  drop.click();
  await later();
  await later();
  const trouble = root.querySelector<HTMLElement>("[role=alert]")!;
  expect([trouble.hidden, trouble.textContent]).toEqual([false, "the watch has ended"]);
  plugin.refusesDeed = undefined;
  drop.click();
  await later();
  expect(trouble.hidden).toBe(true);
});
