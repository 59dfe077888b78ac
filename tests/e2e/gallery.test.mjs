// The same list in React, Svelte, Vue and Solid, each in a real window of one app, following a real appview.
// With E2E_SCREENSHOTS=1 a picture of the four goes to docs/gallery.png.
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe } from "node:test";
import { Appview } from "./appview.mjs";
import { ALICE, APPVIEW, homes, step as stepOf, TARGET } from "./scene.mjs";
import { Window } from "./webdriver.mjs";

const GALLERY = process.env.E2E_GALLERY ?? join(TARGET, "debug/gallery");
const PICTURE = join(import.meta.dirname, "../../docs/gallery.png");
const FRAMEWORKS = ["react", "svelte", "vue", "solid"];
const START = Date.now() - 3_600_000;

/** Notes are [rkey, text], the oldest first. The number in an rkey is the minute of the last hour. */
let notes = [
  ["n1", "Tent, sleeps three"],
  ["n4", "Stove and two cartridges"],
  ["n9", "Filter for the lake: the upper spring is dry"],
  ["n17", "Cake for up there 🍰"],
  ["n26", "Train back at 18:42"],
];

let appview, folder;
const scene = {};
const step = (promise, run) => stepOf(() => scene, promise, run);

function put(rkey, text) {
  const createdAt = START + 60_000 * Number(rkey.slice(1));
  return appview.control("put", { collection: "message", did: ALICE, rkey, record: { text }, createdAt });
}

async function open(args) {
  const env = { ...homes(folder), GALLERY_APPVIEW: appview.url };
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
      const created = [`n${30 + i}`, `Written for ${framework}`];
      await put(...created);
      notes = [...notes, created];
      await shows();
    });

    step(`${framework}: a note edited on the server changes in place, in the same element`, async () => {
      await scene.window.run(() => {
        globalThis.rows = [...document.querySelectorAll("li")];
      });
      const edited = ["n9", `Filter for the lake: the upper spring is dry, ${i + 1}`];
      await put(...edited);
      notes = notes.map((note) => (note[0] === "n9" ? edited : note));
      await shows();
      const same = await scene.window.run(() =>
        [...document.querySelectorAll("li")].every((row, i) => row === globalThis.rows[i]),
      );
      assert.ok(same, "an element was replaced");
    });

    step(
      `${framework}: a note deleted on the server leaves, and the others keep their elements`,
      async () => {
        const [rkey] = notes.at(-1);
        await appview.control("delete", { collection: "message", did: ALICE, rkey });
        notes = notes.slice(0, -1);
        await shows();
        const same = await scene.window.run(() =>
          [...document.querySelectorAll("li")].every((row, i) => row === globalThis.rows[i + 1]),
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
    const { open, connects } = await appview.stats();
    assert.deepEqual({ open, connects }, { open: 1, connects: 1 });
  });

  step("a picture of the four can be taken", async () => {
    notes = notes.map(([rkey, text]) => [rkey, text.replace(/, \d$/, "")]);
    await put(...notes.find(([rkey]) => rkey === "n9"));
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
});
