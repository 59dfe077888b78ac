// @vitest-environment node
// The package runs in the oldest webview that Tauri 2 has. `npm run check` compiles it against that one's library.
import { readdirSync, readFileSync } from "node:fs";
import { parse } from "acorn";
import ts from "typescript";
import { expect, test } from "vitest";

const src = new URL(".", import.meta.url);
const config = ts.readConfigFile(new URL("../tsconfig.build.json", src).pathname, ts.sys.readFile).config;

/** A module of the package as `npm run build` writes it. */
function built(name: string): string {
  const compilerOptions = { ...config.compilerOptions, module: "ESNext", verbatimModuleSyntax: true };
  const source = readFileSync(new URL(name, src), "utf8");
  return ts.transpileModule(source, { compilerOptions }).outputText;
}

const modules = ["", "inspector/"].flatMap((folder) =>
  readdirSync(new URL(folder, src))
    .filter((name) => /^[^.]+(\.svelte)?\.ts$/.test(name))
    .map((name) => folder + name),
);

test("there are modules to look at", () => {
  expect(modules).toEqual(expect.arrayContaining(["svelte.svelte.ts", "inspector/element.ts"]));
});

test.each(modules)("%s is built without syntax that ES2020 has not", (name) => {
  expect(() => parse(built(name), { ecmaVersion: 2020, sourceType: "module" })).not.toThrow();
});
