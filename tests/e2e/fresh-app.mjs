// node fresh-app.mjs FILE: opens an app that was written as the READMEs say, sees that its list is live, and saves a picture.
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { Appview } from "./appview.mjs";
import { ALICE } from "./scene.mjs";
import { Window } from "./webdriver.mjs";

const [file] = process.argv.slice(2);
const { FRESH_APP, FRESH_APPVIEW, FRESH_SPACE } = process.env;
if (!file || !FRESH_APP || !FRESH_APPVIEW || !FRESH_SPACE) {
  console.error("usage: FRESH_APP=<program> FRESH_APPVIEW=<url> FRESH_SPACE=<uri> node fresh-app.mjs FILE");
  process.exit(2);
}
const appview = new Appview(FRESH_APPVIEW);

const put = (rkey, text) =>
  appview.control("put", {
    spaceUri: FRESH_SPACE,
    collection: "message",
    did: ALICE,
    rkey,
    record: { text },
  });

const shows = (...wanted) =>
  window.until(
    `the list is live and shows ${wanted}`,
    (wanted) => {
      const list = document.querySelector("ol[aria-busy=false]");
      const shown = [...(list?.children ?? [])].map((row) => row.textContent);
      return list && JSON.stringify(shown) === JSON.stringify(wanted);
    },
    [wanted],
  );

await put("1", "Hello");
await put("2", "Is anybody there?");
const window = await Window.open(FRESH_APP, {});
try {
  await shows("Is anybody there?", "Hello");
  await put("3", "This one came live");
  await shows("This one came live", "Is anybody there?", "Hello");
  await put("1", "Hello again");
  await shows("Hello again", "This one came live", "Is anybody there?");
  await window.still();
  await writeFile(file, await window.screenshot());
  console.log(`saved ${file}`);
  // Both users of SQLite get along with the one version of it that the app has.
  const { cached, sql } = await window.run(databases);
  assert.deepEqual(cached, { rows: 3, memoryOnly: false });
  console.log(`SQLite ${sql}`);
} finally {
  await window.close();
}

/** What the plugin's cache holds once everything is written, and what the SQL plugin says of its version. */
async function databases() {
  const { invoke } = globalThis.__TAURI_INTERNALS__;
  const db = await invoke("plugin:sql|load", { db: "sqlite::memory:" });
  const query = "select sqlite_version() as version";
  const [{ version }] = await invoke("plugin:sql|select", { db, query, values: [] });
  const end = Date.now() + 10_000;
  for (;;) {
    const { rows, memoryOnly } = await invoke("plugin:contrail-sync|cache_info");
    if (rows === 3 || Date.now() > end) return { cached: { rows, memoryOnly }, sql: version };
    await new Promise(requestAnimationFrame);
  }
}
