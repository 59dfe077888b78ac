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

test("what lacks a file that it exports is not packed", () => {
  const empty = join(app, "empty");
  mkdirSync(empty);
  const scripts = { package: `node ${JSON.stringify(join(root, "scripts/package.mjs"))}` };
  writeFileSync(join(empty, "package.json"), JSON.stringify({ ...manifest, scripts }));
  const pack = () => execFileSync("npm", ["run", "--silent", "package"], { cwd: empty, env, stdio: "pipe" });
  expect(pack).toThrow(/The package would lack .*dist-js\/svelte\.svelte\.js.*LICENSE-MIT/);
  expect(existsSync(join(empty, `${name}-${manifest.version}.tgz`))).toBe(false);
});
