// @vitest-environment node
import { gzipSync } from "node:zlib";
import { build, type Rolldown } from "vite";
import { expect, test } from "vitest";

/** What else an app that uses this package has anyway. */
const external = /^(@tauri-apps\/|react$|solid-js$|svelte\/|vue$)/;

/** What an app that exports `names` of one of this package's modules ships of it, minified. */
async function bundle(names: string, module = "index"): Promise<string> {
  const output = (await build({
    configFile: false,
    logLevel: "silent",
    root: decodeURIComponent(new URL("..", import.meta.url).pathname),
    build: {
      write: false,
      target: "es2020",
      rolldownOptions: { input: "app", external, preserveEntrySignatures: "strict" },
    },
    plugins: [
      {
        name: "app",
        resolveId: (id) => (id === "app" ? "\0app" : undefined),
        load: (id) => (id === "\0app" ? `export ${names} from "/src/${module}.ts"` : undefined),
      },
    ],
  })) as Rolldown.RolldownOutput;
  return output.output[0].code;
}

const gzipped = (code: string) => gzipSync(code, { level: 9 }).length;

test("a store adds at most 12 KiB to an app, minified and gzipped, and nothing that the app does not call", async () => {
  const code = await bundle("{ createWatchStore }");
  expect(code).toContain("open_watch");
  expect(code).not.toMatch(/clear_cache|cache-warning|set_secret|pending_writes|discard_writes|next_tid/);
  expect(gzipped(code)).toBeLessThanOrEqual(12_288);
});

test("all of the package adds at most 12.75 KiB", async () => {
  const code = await bundle("*");
  expect(code).toMatch(/clear_cache/);
  expect(code).not.toMatch(/bafyfake|mockIPC/);
  expect(gzipped(code)).toBeLessThanOrEqual(13_056);
});

test.each(["react", "solid", "svelte.svelte", "vue"])(
  "the binding %s adds less than 1,000 bytes",
  async (module) => {
    const code = await bundle("*", module);
    expect(code).toContain("useWatchStore");
    expect(gzipped(code)).toBeLessThan(1000);
  },
);

test("the inspector adds at most 10 KiB to an app that has it, and nothing to one that has not", async () => {
  expect(await bundle("*")).not.toMatch(/inspect_watches|watch-inspector/);
  const code = await bundle("*", "inspector");
  expect(code).toContain("inspect_watches");
  expect(gzipped(code)).toBeLessThanOrEqual(10_240);
});
