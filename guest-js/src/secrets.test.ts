import { afterEach, beforeEach, expect, test } from "vitest";
import { clearTickets, deleteSecret, setSecret } from "./index.js";
import { FakePlugin } from "./testing/fake-plugin.js";

let plugin: FakePlugin;

beforeEach(() => {
  plugin = new FakePlugin();
  plugin.install();
});
afterEach(() => FakePlugin.uninstall());

const made = () => plugin.calls.map(({ command, args }) => [command, args]);

test("secrets go to Rust and nothing comes back", async () => {
  expect(await setSecret("api-key", "s3cret")).toBeUndefined();
  expect(await deleteSecret("api-key")).toBeUndefined();
  expect(await clearTickets()).toBeUndefined();
  expect(made()).toEqual([
    ["set_secret", { name: "api-key", value: "s3cret" }],
    ["delete_secret", { name: "api-key" }],
    ["clear_tickets", {}],
  ]);
});

test.each([
  ["the plugin's refusal", { kind: "vault", message: "the keyring is locked" }, "vault"],
  ["a missing permission", "contrail-sync.set_secret not allowed", "ipc"],
])("%s is a WatchError", async (_, thrown, kind) => {
  plugin.intercept = () => {
    throw thrown;
  };
  for (const call of [() => setSecret("api-key", "s3cret"), () => deleteSecret("api-key"), clearTickets]) {
    await expect(call()).rejects.toMatchObject({ name: "WatchError", kind });
  }
});

test("a secret that is no string is refused by its type, before Tauri could quote it", async () => {
  for (const [value, type] of [
    [83274923, "Number"],
    [{ key: "s3cret" }, "Object"],
    [undefined, "Undefined"],
  ] as const) {
    const message = `the secret is ${type}, it must be a string`;
    await expect(setSecret("api-key", value as never)).rejects.toMatchObject({
      kind: "invalid-options",
      message,
    });
  }
  expect(made()).toEqual([]);
});
