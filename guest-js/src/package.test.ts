// @vitest-environment node
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

const root = decodeURIComponent(new URL("..", import.meta.url).pathname);
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const { exports, name } = manifest;

/** As on machines that run no scripts of packages. */
const env = { ...process.env, npm_config_ignore_scripts: "true" };

/** An app's folder, with the package in it as npm would have put it there. */
let app: string;

beforeAll(() => {
  app = mkdtempSync(join(tmpdir(), "packed-"));
  const installed = join(app, "node_modules", name);
  mkdirSync(installed, { recursive: true });
  const told = execFileSync("npm", ["run", "--silent", "package", "--", app], {
    cwd: root,
    env,
    encoding: "utf8",
  });
  const tarball = told.trim().split("\n").at(-1)!;
  execFileSync("tar", ["-xzf", tarball, "--strip-components=1", "-C", installed]);
}, 60_000);
afterAll(() => rmSync(app, { recursive: true }));

test.each(Object.keys(exports))("the packed package has what %s exports, for whoever asks", (path) => {
  const wanted = JSON.stringify(name + path.slice(1));
  const script = `console.log((await import("node:fs")).existsSync(new URL(import.meta.resolve(${wanted}))))`;
  const found = execFileSync("node", ["--input-type=module", "-e", script], { cwd: app, encoding: "utf8" });
  expect(found.trim()).toBe("true");
});

test("the packed package has its licences", () => {
  for (const licence of ["LICENSE-MIT", "LICENSE-APACHE"]) {
    expect(readFileSync(join(app, "node_modules", name, licence), "utf8")).toMatch(/licen[cs]e|permission/i);
  }
});

/** A folder with this manifest, and what packs it. */
function folder(called: string, more: object = {}): { folder: string; pack: () => string } {
  const folder = join(app, called);
  mkdirSync(folder);
  const scripts = { package: `node ${JSON.stringify(join(root, "scripts/package.mjs"))}` };
  writeFileSync(join(folder, "package.json"), JSON.stringify({ ...manifest, ...more, scripts }));
  const options = { cwd: folder, env, stdio: "pipe", encoding: "utf8" } as const;
  return { folder, pack: () => execFileSync("npm", ["run", "--silent", "package"], options) };
}

const isPacked = (folder: string) => existsSync(join(folder, `${name}-${manifest.version}.tgz`));

test("what lacks a file that it exports is not packed", () => {
  const { folder: empty, pack } = folder("empty");
  expect(pack).toThrow(/The package would lack .*dist-js\/svelte\.svelte\.js.*LICENSE-MIT/);
  expect(isPacked(empty)).toBe(false);
});

test("what an earlier build has left is not packed", () => {
  const more = { exports: { ".": "./dist-js/index.js" }, types: "./dist-js/index.d.ts", files: ["dist-js"] };
  const { folder: stale, pack } = folder("stale", more);
  for (const path of ["dist-js", "src"]) mkdirSync(join(stale, path));
  for (const path of ["src/index.ts", "dist-js/index.js", "dist-js/index.d.ts", "dist-js/gone.js"]) {
    writeFileSync(join(stale, path), "");
  }
  expect(pack).toThrow("would have dist-js/gone.js");
  expect(isPacked(stale)).toBe(false);
  rmSync(join(stale, "dist-js/gone.js"));
  pack();
  expect(isPacked(stale)).toBe(true);
});
