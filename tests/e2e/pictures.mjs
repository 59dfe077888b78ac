// node pictures.mjs [--renew] [NAME...]: takes the pictures of docs/src/pictures anew, all of them or these, in light and
// dark, and compares them. One that is not as it was fails, and is left in E2E_ARTIFACTS/pictures beside one that shows
// where; with --renew it takes the place of the old one. Takes the programs as the tests do.
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { difference } from "./pictures/compare.mjs";
import { encode } from "./pictures/png.mjs";
import { SCENES } from "./pictures/scenes.mjs";
import { SCHEMES } from "./pictures/stage.mjs";
import { ARTIFACTS } from "./scene.mjs";

const FOLDER = join(import.meta.dirname, "../../docs/src/pictures");
const CHANGED = join(ARTIFACTS, "pictures");
/** Taken by gallery.test.mjs. */
const FROM_ELSEWHERE = ["gallery.png"];

const args = process.argv.slice(2);
const isRenewing = args.includes("--renew");
const names = args.filter((arg) => arg !== "--renew");
const unknown = names.filter((name) => !Object.hasOwn(SCENES, name));
if (unknown.length > 0) {
  console.error(`no scene: ${unknown.join(", ")}; there are ${Object.keys(SCENES).join(", ")}`);
  process.exit(2);
}

const file = (name, scheme) => (scheme === "dark" ? `${name}-dark.png` : `${name}.png`);

/** Takes one picture; what is to be said against it, if anything is. */
async function check(name, scheme) {
  const it = file(name, scheme);
  const { image, boxes } = await SCENES[name](scheme);
  const png = encode(image, boxes);
  const before = await readFile(join(FOLDER, it)).catch(() => null);
  const changed = before ? difference(before, png, boxes) : { count: "all", png };
  if (!changed) return null;
  if (isRenewing) {
    await writeFile(join(FOLDER, it), png);
    console.log(`renewed ${it}: ${png.length} bytes`);
    return null;
  }
  await writeFile(join(CHANGED, it), png);
  if (!before) return `${it} is not there yet`;
  await writeFile(join(CHANGED, it.replace(/png$/, "diff.png")), changed.png);
  return `${it} has changed: ${changed.count} pixels`;
}

// What was left there the last time says nothing any more.
await rm(CHANGED, { recursive: true, force: true });
await mkdir(CHANGED, { recursive: true });
const problems = [];
for (const name of names.length > 0 ? names : Object.keys(SCENES)) {
  for (const scheme of SCHEMES) {
    const start = performance.now();
    const problem = await check(name, scheme).catch((error) => `${file(name, scheme)}: ${error.message}`);
    if (problem) problems.push(problem);
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    console.log(`${problem ? "FAILED" : "ok"} ${name}, ${scheme} (${seconds} s)`);
  }
}
if (names.length === 0) {
  const made = Object.keys(SCENES).flatMap((name) => SCHEMES.map((scheme) => file(name, scheme)));
  const known = new Set([...made, ...FROM_ELSEWHERE]);
  for (const it of await readdir(FOLDER)) {
    if (it.endsWith(".png") && !known.has(it)) problems.push(`${it} is no scene's picture`);
  }
}
if (problems.length > 0) {
  console.error(`\n${problems.join("\n")}`);
  console.error(
    `\nThe new pictures are in ${CHANGED}. If they are as they should be: cargo xtask pictures --renew`,
  );
  process.exitCode = 1;
}
