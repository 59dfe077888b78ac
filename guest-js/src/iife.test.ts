// What pages without a bundler get where the app has `withGlobalTauri`: ../../api-iife.js, as Tauri runs it.
import { readFileSync } from "node:fs";
import * as core from "@tauri-apps/api/core";
import * as event from "@tauri-apps/api/event";
import { afterEach, expect, test } from "vitest";
import * as api from "./index.js";
import { fakeContrailSync } from "./testing.js";

const script = readFileSync(new URL("../../api-iife.js", `file://${import.meta.filename}`), "utf8");
const run = () => new Function(script)();

/** What Tauri puts there before any plugin. */
function global(): { contrailSync?: typeof api } {
  const tauri: { contrailSync?: typeof api } & object = { core, event } as object;
  Object.assign(window, { __TAURI__: tauri });
  return tauri;
}
afterEach(() => delete (window as { __TAURI__?: object }).__TAURI__);

test("a page of Tauri has all of the package, and nothing else, as one global of Tauri's", () => {
  const tauri = global();
  const before = Object.keys(window);
  run();
  expect(Object.keys(window)).toEqual(before);
  expect(Object.keys(tauri.contrailSync!).sort()).toEqual(Object.keys(api).sort());
});

test("its stores are live", async () => {
  using appview = fakeContrailSync();
  const tauri = global();
  run();
  const url = "/xrpc/com.example.message.listRecords";
  const store = tauri.contrailSync!.createWatchStore({ url });
  store.start();
  await appview.watch(url).snapshot([{ rkey: "1", value: { text: "hello" } }]);
  expect(store).toMatchObject({ status: "live", records: [{ value: { text: "hello" } }] });
});

test("a page that is none is left alone", () => {
  const before = Object.keys(window);
  run();
  expect(Object.keys(window)).toEqual(before);
});
