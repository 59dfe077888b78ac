import { effectScope, reactive, ref, watchEffect } from "vue";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createWatchStore } from "./store.js";
import { FakePlugin } from "./testing/fake-plugin.js";
import { record, texts } from "./testing/records.js";
import { useWatchStore } from "./vue.js";

const plugin = new FakePlugin();
beforeEach(() => plugin.install());
afterEach(() => FakePlugin.uninstall());

test("a store in a deep ref or a reactive object is followed, from the scope's begin to its end", async () => {
  plugin.records = [record("m1")];
  const store = createWatchStore({ url: "/watch" });
  const state = reactive({ store });
  const scope = effectScope();
  const seen: string[] = [];
  scope.run(() => {
    for (const source of [ref(store), () => state.store] as const) {
      const { records, status } = useWatchStore(source);
      watchEffect(() => seen.push([status.value, ...texts(records.value)].join()), { flush: "sync" });
    }
  });
  await vi.waitFor(() => expect(seen.filter((it) => it === "live,m1 v0")).toHaveLength(2));
  expect(plugin.handles("open_watch")).toHaveLength(1);
  scope.stop();
  await vi.waitFor(() => expect(plugin.opens.size).toBe(0));
  expect(store.status).toBe("closed");
});
