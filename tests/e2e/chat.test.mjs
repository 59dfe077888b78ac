// The real chat app in a real window, following a real appview, driven from outside.
// Takes the programs from E2E_APPVIEW and E2E_CHAT, pictures of failures go to E2E_ARTIFACTS.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { Appview, Door } from "./appview.mjs";
import { Window } from "./webdriver.mjs";

const target = join(import.meta.dirname, "../../target");
const CHAT = process.env.E2E_CHAT ?? join(target, "debug/chat");
const APPVIEW = process.env.E2E_APPVIEW ?? join(target, "debug/appview");
const ARTIFACTS = process.env.E2E_ARTIFACTS ?? join(target, "e2e");

const [ALICE, BOB, CAROL] = ["did:plc:alice", "did:plc:bob", "did:plc:carol"];
/** A failed connect is tried again within 30 s. */
const RECONNECT_MS = 40_000;
const START = Date.now() - 3_600_000;

/** What is in the space at first, oldest first: [rkey, author, text]. */
const SEED = [
  ["m1", ALICE, "Which trail shall we take?"],
  ["m2", BOB, "The ridge, if it stays dry"],
  ["m3", CAROL, "It stays dry"],
  ["m4", ALICE, "Then the ridge"],
  ["m5", BOB, "See you at the station"],
];

const door = new Door();
let appview, window, folder, space;

/** A test that leaves a picture of the window when it fails. */
function step(promise, run) {
  it(promise, async () => {
    try {
      await run();
    } catch (error) {
      await mkdir(ARTIFACTS, { recursive: true });
      const file = join(ARTIFACTS, `${promise.replaceAll(/\W+/g, "-")}.png`);
      const saved = await window
        ?.screenshot()
        .then((png) => writeFile(file, png))
        .then(
          () => true,
          () => false,
        );
      if (saved) error.message += `\n(the window then: ${file})`;
      throw error;
    }
  });
}

/** An appview with the space and these messages in it, behind the door. */
async function serve(messages) {
  const next = await Appview.start(APPVIEW, ["--secret-file", join(folder, "secret")]);
  ({ uri: space } = await next.control("space", { key: "trail-talk", owner: ALICE }));
  for (const did of [BOB, CAROL]) await next.control("addMember", { spaceUri: space, did });
  appview = next;
  for (const message of messages) await put(...message);
  await door.open(next.port);
}

function put(rkey, did, text) {
  const at = START + 60_000 * Number(rkey.slice(1));
  return appview.control("put", {
    spaceUri: space,
    collection: "message",
    did,
    rkey,
    record: { $type: "com.example.chat.message", text, createdAt: new Date(at).toISOString() },
    createdAt: at,
  });
}

function remove(rkey, did) {
  return appview.control("delete", { spaceUri: space, collection: "message", did, rkey });
}

/** Waits until the window shows exactly these messages in this order, and this status. */
async function shows(status, messages, ms) {
  const wanted = messages.map(([rkey, did, text]) => `${rkey} ${did} ${text}`);
  await window.until(
    `the status is ${status} and the list is\n  ${wanted.join("\n  ")}\n`,
    (status, wanted) => {
      const shown = [...document.querySelectorAll("[data-testid=message]")].map((message) => {
        const text = message.querySelector("[data-testid=text]")?.textContent.trim();
        return `${message.dataset.rkey} ${message.dataset.did} ${text}`;
      });
      const now = document.querySelector("[data-testid=status]")?.dataset.status;
      return now === status && JSON.stringify(shown) === JSON.stringify(wanted);
    },
    [status, wanted],
    ms,
  );
}

describe("the chat in a window", { timeout: 300_000 }, () => {
  let list = SEED;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "contrail-e2e-"));
    await writeFile(join(folder, "secret"), randomBytes(32));
    await serve(SEED);
    const { ticket } = await appview.control("ticket", {
      spaceUri: space,
      collection: "message",
      did: ALICE,
      ttlMs: 3_600_000,
      hydrate: ["reactions"],
    });
    window = await Window.open(CHAT, {
      CHAT_APPVIEW: door.url,
      CHAT_SPACE: space,
      CHAT_DID: ALICE,
      CHAT_TICKET: ticket,
    });
  });

  after(async () => {
    await window?.close();
    await door.shut();
    await appview?.stop("SIGTERM");
    if (folder) await rm(folder, { recursive: true });
  });

  step("first paint: the messages that were there, oldest first, and the status live", async () => {
    await shows("live", SEED, 30_000);
  });

  step("a message created on the server appears at the end", async () => {
    const created = ["m6", CAROL, "Bringing coffee"];
    await put(...created);
    list = [...SEED, created];
    await shows("live", list);
  });

  step("a message edited on the server changes in place, in the same element", async () => {
    await window.run(() => {
      globalThis.marked = document.querySelector("[data-rkey=m3]");
    });
    const edited = ["m3", CAROL, "It stays dry, says the forecast"];
    await put(...edited);
    list = list.map((message) => (message[0] === "m3" ? edited : message));
    await shows("live", list);
    const same = await window.run(() => globalThis.marked === document.querySelector("[data-rkey=m3]"));
    assert.ok(same, "the element of the edited message was replaced");
  });

  step("a message deleted on the server disappears", async () => {
    await remove("m2", BOB);
    list = list.filter(([rkey]) => rkey !== "m2");
    await shows("live", list);
  });

  step("a message sent from the window arrives on the server and in the list", async () => {
    const text = "Meet you there";
    await window.type("[data-testid=composer]", text);
    await window.click("[data-testid=send]");
    const rkey = await window.until(
      "the sent message is shown",
      (text) =>
        [...document.querySelectorAll("[data-testid=message]")].find(
          (message) => message.querySelector("[data-testid=text]")?.textContent.trim() === text,
        )?.dataset.rkey,
      [text],
    );
    list = [...list, [rkey, ALICE, text]];
    await shows("live", list);
    // The server has it, not just the window: it can be deleted there.
    await remove(rkey, ALICE);
    list = list.slice(0, -1);
    await shows("live", list);
  });

  step("while the server is dead the status says so and the messages stay", async () => {
    await appview.stop("SIGKILL");
    await door.shut();
    await shows("reconnecting", list);
  });

  step("once the server is back, what was deleted meanwhile disappears", async () => {
    list = list.filter(([rkey]) => rkey !== "m4");
    await serve(list);
    await shows("live", list, RECONNECT_MS);
  });

  step("a reload shows the same list, and leaves no connection behind", async () => {
    assert.equal((await appview.stats()).open, 1, "one window keeps one connection");
    await window.run(() => {
      globalThis.beforeReload = true;
    });
    await window.reload();
    assert.ok(!(await window.run(() => globalThis.beforeReload === true)), "it is a new page");
    await shows("live", list);
    assert.equal((await appview.stats()).open, 1, "open connections after the reload");
  });

  step("a window that was reloaded still follows the server", async () => {
    const created = ["m7", BOB, "On the train now"];
    await put(...created);
    list = [...list, created];
    await shows("live", list);
  });
});
