// Packs what `npm run prepack` made, and checks that the tarball holds all that package.json promises. `npm pack` by itself
// says nothing where it runs no scripts, as many a machine is set up, and packs next to nothing then.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

const destination = process.argv[2] ?? ".";
const { exports, files, types } = JSON.parse(readFileSync("package.json", "utf8"));

const npm = [
  process.env.npm_execpath,
  "pack",
  "--json",
  "--ignore-scripts",
  "--pack-destination",
  destination,
];
const { status, stdout } = spawnSync(process.execPath, npm, {
  encoding: "utf8",
  stdio: ["ignore", "pipe", "inherit"],
});
if (status !== 0) process.exit(1);
const [packed] = JSON.parse(stdout);

const names = packed.files.map(({ path }) => path);
const promised = [...Object.values(exports).flatMap(paths), types].map((path) => path.replace(/^\.\//, ""));
const missing = [
  ...promised.filter((path) => !names.includes(path)),
  ...files.filter((entry) => !names.some((path) => path === entry || path.startsWith(`${entry}/`))),
];
const tarball = join(destination, packed.filename);
if (missing.length > 0) refuse(`The package would lack ${missing.join(", ")}.`);

// A build leaves what an earlier one wrote.
const built = names.filter((path) => path.startsWith("dist-js/"));
const stale = built.filter((path) => !isSource(path.replace(/^dist-js\/|(\.d\.ts|\.js)$/g, "")));
if (stale.length > 0)
  refuse(`The package would have ${stale.join(", ")}, of which there is no source: remove dist-js.`);
console.log(tarball);

function refuse(why) {
  rmSync(tarball);
  console.error(why);
  process.exit(1);
}

/** Whether this module is among the sources. */
function isSource(name) {
  return [".ts", ".tsx"].some((ending) => existsSync(join("src", name + ending)));
}

/** All paths of an export, whatever the condition. */
function paths(entry) {
  return typeof entry === "string" ? [entry] : Object.values(entry).flatMap(paths);
}
