/** @jsxImportSource react */
import { hydrateRoot } from "react-dom/client";
import { renderToString } from "react-dom/server";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createWatchStore } from "./store.js";
import { FakePlugin } from "./testing/fake-plugin.js";
import { List } from "./testing/lists/react.js";
import type { Body } from "./testing/lists/shown.js";
import { record } from "./testing/records.js";

const plugin = new FakePlugin();
beforeEach(() => plugin.install());
afterEach(() => FakePlugin.uninstall());

test("a page that a server rendered is hydrated as it is, then shows what the store has by now", async () => {
  plugin.records = [record("m1")];
  const store = createWatchStore<Body>({ url: "/watch" });
  const list = <List source={store} rendered={() => {}} />;
  const target = document.createElement("div");
  target.innerHTML = renderToString(list);
  expect(target.textContent).toBe("idle");
  store.start();
  await store.ready;
  const onRecoverableError = vi.fn();
  const root = hydrateRoot(target, list, { onRecoverableError });
  await vi.waitFor(() => expect(target.textContent).toBe("livem1 v0"));
  expect(onRecoverableError).not.toHaveBeenCalled();
  root.unmount();
  store.stop();
});
