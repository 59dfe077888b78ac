// The bindings in the builds that the frameworks have for servers.
import { createElement } from "react";
import { renderToString as react } from "react-dom/server";
import { createComponent, renderToString as solid } from "solid-js/web";
import { render as svelte } from "svelte/server";
import { createSSRApp } from "vue";
import { renderToString as vue } from "vue/server-renderer";
import { expect, test } from "vitest";
import { createWatchStore } from "./store.js";
import { List as ReactList } from "./testing/lists/react.js";
import type { Body, ListProps } from "./testing/lists/shown.js";
import { List as SolidList } from "./testing/lists/solid.js";
import SvelteList from "./testing/lists/List.svelte";
import { List as VueList } from "./testing/lists/vue.js";
import { settled } from "./testing/until.js";

const FRAMEWORKS: [string, (props: ListProps) => string | Promise<string>][] = [
  ["react", (props) => react(createElement(ReactList, props))],
  ["svelte", (props) => svelte(SvelteList, { props }).body],
  ["vue", (props) => vue(createSSRApp(VueList, { ...props }))],
  ["solid", (props) => solid(() => createComponent(SolidList, props))],
];

test.each(FRAMEWORKS)("%s renders an empty list on a server, and starts nothing", async (_name, render) => {
  const store = createWatchStore<Body>({ url: "/watch" });
  for (const source of [store, () => store, null]) {
    const html = await render({ source, rendered: () => expect.unreachable("a row was rendered") });
    expect(html).toMatch(/<output[^>]*>(<!--.*?-->)*idle/);
    expect(html).not.toContain("<li");
  }
  await settled();
  expect(store.status).toBe("idle");
});

test("a store that is followed outside of components is not started on a server either", async () => {
  const { effectScope } = await import("vue");
  const { useWatchStore } = await import("./vue.js");
  const store = createWatchStore<Body>({ url: "/watch" });
  const { status } = effectScope().run(() => useWatchStore(store))!;
  expect([status.value, store.status]).toEqual(["idle", "idle"]);
});
