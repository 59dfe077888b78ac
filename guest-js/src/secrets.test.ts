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

test("a secret that cannot be sent is refused by its type, before Tauri could quote it", async () => {
  for (const [value, why] of [
    [83274923, "setSecret: value is Number, it must be a string"],
    [{ key: "s3cret" }, "setSecret: value is Object, it must be a string"],
    [undefined, "setSecret: value is Undefined, it must be a string"],
    ["s3cret \ud83d", "value: cannot send half a character"],
  ] as const) {
    const refused = { kind: "invalid-options", message: why };
    await expect(setSecret("api-key", value as never)).rejects.toMatchObject(refused);
  }
  expect(made()).toEqual([]);
});

test("a secret without a name is neither stored nor forgotten", async () => {
  for (const call of [() => setSecret(undefined as never, "s"), () => deleteSecret(undefined as never)]) {
    const why = expect.stringContaining("name is Undefined");
    await expect(call()).rejects.toMatchObject({ kind: "invalid-options", message: why });
  }
  expect(made()).toEqual([]);
});
