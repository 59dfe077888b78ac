// The same list in React, Svelte, Vue and Solid, each in a real window of one app, following a real appview.
// With E2E_SCREENSHOTS=1 a picture of the four goes to docs/src/pictures/gallery.png.
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe } from "node:test";
import { Appview } from "./appview.mjs";
import { ALICE, APPVIEW, homes, step as stepOf, TARGET } from "./scene.mjs";
import { Window } from "./webdriver.mjs";

const GALLERY = process.env.E2E_GALLERY ?? join(TARGET, "debug/gallery");
const PICTURE = join(import.meta.dirname, "../../docs/src/pictures/gallery.png");
const FRAMEWORKS = ["react", "svelte", "vue", "solid"];

/** Notes are [rkey, text], in the order in which they were last written. */
let notes = [
  ["n1", "Tent, sleeps three"],
  ["n2", "Stove and two cartridges"],
  ["n3", "Filter for the lake: the upper spring is dry"],
  ["n4", "Cake for up there 🍰"],
  ["n5", "Train back at 18:42"],
];

let appview, folder, space;
const scene = {};
const step = (promise, run) => stepOf(() => scene, promise, run);

/** A control call about a note of alice's. */
function control(call, rkey, more) {
  return appview.control(call, { spaceUri: space.uri, collection: "message", did: ALICE, rkey, ...more });
}

const put = (rkey, text) => control("put", rkey, { record: { text } });

async function open(args) {
  const env = { ...homes(folder), GALLERY_APPVIEW: appview.url, GALLERY_QUERY: space.query };
  scene.window = await Window.open(GALLERY, env, { args });
}

/** The handles of the app's windows by framework, once there are `count` and their pages have loaded. */
async function windows(count) {
  const found = {};
  for (const handle of await scene.window.handles(count)) {
    await scene.window.go(handle);
    const name = () => document.querySelector("ol") && document.body.className;
    found[await scene.window.until("the page has loaded", name)] = handle;
  }
  return found;
}

/** Waits until the window that is looked at shows exactly the notes, newest first, and is live. */
async function shows() {
  await scene.window.until(
    `the list is live and shows\n  ${notes.map(([rkey, text]) => `${rkey} ${text}`).join("\n  ")}\n(newest first)`,
    (wanted) => {
      // Beside its text a row holds the time.
      const text = (row) =>
        [...row.childNodes].map((node) => (node.nodeType === 3 ? node.data : "")).join("");
      const shown = [...document.querySelectorAll("li")].map((row) => [row.id, text(row).trim()]);
      const { status } = document.querySelector("ol").dataset;
      return status === "live" && JSON.stringify(shown) === JSON.stringify(wanted);
    },
    [notes.toReversed()],
  );
}

/** Puts pictures of the same size side by side, two by two. */
function tile(pictures) {
  return scene.window.run(
    async (pictures) => {
      const images = pictures.map((data) =>
        Object.assign(new Image(), { src: `data:image/png;base64,${data}` }),
      );
      await Promise.all(images.map((image) => image.decode()));
      const [{ width, height }] = images;
      const canvas = Object.assign(document.createElement("canvas"), {
        width: 2 * width,
        height: 2 * height,
      });
      const context = canvas.getContext("2d");
      images.forEach((image, i) => context.drawImage(image, (i % 2) * width, Math.floor(i / 2) * height));
      return canvas.toDataURL("image/png").split(",")[1];
    },
    pictures.map((picture) => picture.toString("base64")),
  );
}

describe("the gallery", { timeout: 180_000 }, () => {
  let handles;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "contrail-e2e-"));
    appview = await Appview.start(APPVIEW);
    space = await appview.control("openSpace", { key: "notes", owner: ALICE });
    for (const note of notes) await put(...note);
    await open([]);
    handles = await windows(FRAMEWORKS.length);
  });

  after(async () => {
    await scene.window?.close();
    await appview?.stop("SIGTERM");
    await rm(folder, { recursive: true });
  });

  step("there is a window for each framework, and no other", () => {
    assert.deepEqual(Object.keys(handles).toSorted(), FRAMEWORKS.toSorted());
  });

  FRAMEWORKS.forEach((framework, i) => {
    step(`${framework}: the notes that were there show, newest first`, async () => {
      await scene.window.go(handles[framework]);
      await shows();
    });

    step(`${framework}: a note created on the server appears`, async () => {
      const created = [`n${6 + i}`, `Written for ${framework}`];
      await put(...created);
      notes = [...notes, created];
      await shows();
    });

    step(
      `${framework}: a note edited on the server rises to the top, and all keep their elements`,
      async () => {
        await scene.window.run(() => {
          globalThis.rows = Object.fromEntries(
            [...document.querySelectorAll("li")].map((row) => [row.id, row]),
          );
        });
        const edited = ["n3", `Filter for the lake: the upper spring is dry, ${i + 1}`];
        await put(...edited);
        notes = [...notes.filter(([rkey]) => rkey !== "n3"), edited];
        await shows();
        const same = await scene.window.run(() =>
          [...document.querySelectorAll("li")].every((row) => row === globalThis.rows[row.id]),
        );
        assert.ok(same, "an element was replaced");
      },
    );

    step(
      `${framework}: a note deleted on the server leaves, and the others keep their elements`,
      async () => {
        const [rkey] = notes.at(-2);
        await control("delete", rkey);
        notes = notes.filter((note) => note[0] !== rkey);
        await shows();
        const same = await scene.window.run(() =>
          [...document.querySelectorAll("li")].every((row) => row === globalThis.rows[row.id]),
        );
        assert.ok(same, "an element was replaced");
      },
    );
  });

  step("all four have followed, over one connection", async () => {
    for (const handle of Object.values(handles)) {
      await scene.window.go(handle);
      await shows();
    }
    const { watches, sse } = await appview.stats();
    assert.deepEqual({ watches, sse }, { watches: 1, sse: 1 });
  });

  step("a picture of the four can be taken", async () => {
    notes = notes.map(([rkey, text]) => [rkey, text.replace(/, \d$/, "")]);
    await put(...notes.at(-1));
    const pictures = [];
    for (const framework of FRAMEWORKS) {
      await scene.window.go(handles[framework]);
      await shows();
      await scene.window.still();
      pictures.push(await scene.window.screenshot());
    }
    const picture = Buffer.from(await tile(pictures), "base64");
    if (process.env.E2E_SCREENSHOTS === "1") await writeFile(PICTURE, picture);
  });

  step("with a framework's name as the argument only its window opens", async () => {
    await scene.window.close();
    await open(["vue"]);
    assert.deepEqual(Object.keys(await windows(1)), ["vue"]);
    await shows();
  });

  step("a page without a bundler has the package as one of Tauri's globals", async () => {
    const shown = await scene.window.run(async () => {
      const { createWatchStore } = globalThis.__TAURI__.contrailSync;
      const url = `/xrpc/com.example.message.watchRecords${location.search}&limit=50`;
      const store = createWatchStore({ url });
      store.start();
      await store.ready;
      const { status, records } = store;
      store.destroy();
      return { status, rkeys: records.map(({ rkey }) => rkey) };
    });
    assert.deepEqual(shown, { status: "live", rkeys: notes.toReversed().map(([rkey]) => rkey) });
  });
});
