import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { FakePlugin } from "./testing/fake-plugin.js";
import { Page } from "./testing/page.js";
import { texts } from "./testing/records.js";
import { settled } from "./testing/until.js";

let page: Page;
let plugin: FakePlugin;

beforeEach(async () => {
  // The lease is renewed by a timer that is set with the page's first store.
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  page = await Page.open();
  plugin = page.plugin;
});
afterEach(() => {
  page.close();
  vi.useRealTimers();
});

const calls = (command: string) => plugin.handles(command).length;

describe("the lease of a page", () => {
  test("is renewed every 30 seconds, once for all its stores", async () => {
    await Promise.all([page.started(), page.started()]);
    vi.advanceTimersByTime(29_999);
    expect(calls("renew_session")).toBe(0);
    vi.advanceTimersByTime(1);
    expect(calls("renew_session")).toBe(1);
    vi.advanceTimersByTime(60_000);
    expect(calls("renew_session")).toBe(3);
    await settled();
    expect(calls("watch_state")).toBe(0);
  });

  test("says whether the page can be seen, and at once when that changes", async () => {
    await page.started();
    const seen = () => plugin.handles("renew_session").length;
    const visible = () =>
      plugin.calls.filter(({ command }) => command === "renew_session").at(-1)?.args["visible"];
    const hidden = vi.spyOn(document, "hidden", "get");
    hidden.mockReturnValue(true);
    document.dispatchEvent(new Event("visibilitychange"));
    expect([seen(), visible()]).toEqual([1, false]);
    hidden.mockReturnValue(false);
    document.dispatchEvent(new Event("visibilitychange"));
    expect([seen(), visible()]).toEqual([2, true]);
    hidden.mockRestore();
  });

  test("is nothing that a page without open stores needs", async () => {
    const store = await page.started();
    store.stop();
    vi.advanceTimersByTime(60_000);
    page.events.dispatchEvent(new Event("online"));
    expect(calls("renew_session")).toBe(0);
    expect(calls("wake_watches")).toBe(0);
  });

  test("that lapsed is noticed, and what Rust took back is opened again", async () => {
    const [one, other] = await Promise.all([page.started(), page.started()]);
    const { records } = one;
    plugin.opens.delete(1);
    vi.advanceTimersByTime(30_000);
    await vi.waitFor(() => expect(plugin.opens.has(3)).toBe(true));
    await settled();
    expect([...plugin.opens.keys()]).toEqual([2, 3]);
    expect(one.records).toBe(records);
    await plugin.push({ records: [] });
    expect([texts(one.records), texts(other.records)]).toEqual([[], []]);
  });

  test("that cannot be renewed does no harm", async () => {
    const store = await page.started();
    plugin.intercept = ({ command }) => {
      if (command === "renew_session") throw "no such command";
    };
    vi.advanceTimersByTime(30_000);
    await settled();
    expect(calls("watch_state")).toBe(0);
    expect([store.status, store.error]).toEqual(["live", null]);
  });
});

describe("Rust is told to try at once", () => {
  test("when the network is back", async () => {
    await Promise.all([page.started(), page.started()]);
    page.events.dispatchEvent(new Event("online"));
    expect(calls("wake_watches")).toBe(1);
  });

  test("when the page becomes visible, not when it is hidden", async () => {
    await page.started();
    page.hide(true);
    expect(calls("wake_watches")).toBe(0);
    page.hide(false);
    expect(calls("wake_watches")).toBe(1);
  });

  test("and a refusal is nobody's trouble", async () => {
    const store = await page.started();
    plugin.intercept = ({ command }) => {
      if (command === "wake_watches") throw "not allowed";
    };
    page.events.dispatchEvent(new Event("online"));
    await settled();
    expect([store.status, store.error]).toEqual(["live", null]);
  });

  test("and what Rust took back while the page slept is opened again", async () => {
    await page.started();
    plugin.forget();
    page.hide(false);
    await vi.waitFor(() => expect(plugin.opens.has(2)).toBe(true));
  });
});
