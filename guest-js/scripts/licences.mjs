// Copies the licences from the root of the repository: npm packs only what lies in the package's own folder.
import { copyFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

for (const name of ["LICENSE-MIT", "LICENSE-APACHE"]) {
  copyFileSync(fromHere(`../../${name}`), fromHere(`../${name}`));
}

function fromHere(path) {
  return fileURLToPath(new URL(path, import.meta.url));
}
