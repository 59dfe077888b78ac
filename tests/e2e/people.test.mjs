// Who is signed in: several people in one window, over each transport, and the end of their access.
// CONTRAIL_TEST_KEYRING says whether there is a keyring: 1 or 0.
import assert from "node:assert/strict";
import { after, before, describe } from "node:test";
import { ALICE, BOB, CAROL, Scene, step as stepOf } from "./scene.mjs";

let list = [
  ["m1", CAROL, "Who brings the tent?"],
  ["m2", ALICE, "I do, it sleeps three"],
  ["m3", BOB, "Then I bring the stove"],
];

let scene;
const step = (promise, run) => stepOf(() => scene, promise, run);

/** A new message from alice gets to the window. */
async function arrives(text) {
  const message = [`m${list.length + 1}`, ALICE, text];
  await scene.put(...message);
  list = [...list, message];
  await scene.shows("live", list);
}

/** Chooses a transport and sees that a message comes over it; how many connects of each kind that took. */
async function reach(transport) {
  const before = await scene.appview.stats();
  await scene.click(`transport-${transport}`);
  await scene.shows("live", list);
  // Only the new connection can bring it: the window has let go of the one before.
  await arrives(`Over ${transport}, number ${list.length}`);
  const chosen = await scene.window.run(
    (id) => document.querySelector(`[data-testid=${id}] input`).checked,
    `transport-${transport}`,
  );
  assert.ok(chosen, `the switch is on ${transport}`);
  const { sse, upgrades } = await scene.appview.stats();
  return { sse: sse - before.sse, upgrades: upgrades - before.upgrades };
}

describe("the people in a window", { timeout: 300_000 }, () => {
  before(async () => {
    scene = await Scene.set(list);
    await scene.open();
  });

  after(() => scene?.strike());

  step("nobody is signed in: the window asks who is here, and connects to nothing", async () => {
    assert.match(await scene.text("sign-in"), /Who is here\?/);
    assert.equal((await scene.appview.stats()).requests, 0);
  });

  step("bob signs in and sees the messages", async () => {
    await scene.click("sign-in-bob");
    await scene.shows("live", list);
  });

  step("over WebSocket the list is the same, and messages arrive", async () => {
    assert.deepEqual(await reach("ws"), { sse: 0, upgrades: 1 });
  });

  step("back over server-sent events the list is the same, and messages arrive", async () => {
    assert.deepEqual(await reach("sse"), { sse: 1, upgrades: 0 });
  });

  for (const [transport, mode] of [
    ["sse", "worker"],
    ["ws", "worker"],
    ["ws", "do"],
  ]) {
    const over = transport === "ws" ? `a WebSocket (${mode})` : "server-sent events";

    step(`bob is kicked over ${over}: the window says so, and no message stays`, async () => {
      await scene.appview.control("ws", { mode });
      await reach(transport);
      await scene.appview.control("kick", { spaceUri: scene.space, did: BOB });
      assert.match(await scene.text("access-lost"), /You are no longer a member/);
      await scene.shows("closed", []);
      const left = await scene.window.run(() => ({
        kind: document.querySelector("[data-testid=error]").dataset.kind,
        page: document.documentElement.outerHTML,
      }));
      assert.equal(left.kind, "access-lost");
      for (const [, , text] of list) assert.ok(!left.page.includes(text), `${text} is still in the page`);
      await scene.caches(0);
    });

    step(`after that alice signs in, and bob once he is let in again, over ${over}`, async () => {
      await scene.click("sign-in-other");
      await scene.click("sign-in-alice");
      await scene.shows("live", list);
      await arrives(`Bob is gone, number ${list.length}`);
      await scene.click("sign-out");
      await scene.text("sign-in");
      await scene.appview.control("addMember", { spaceUri: scene.space, did: BOB });
      await scene.click("sign-in-bob");
      await scene.shows("live", list);
    });
  }

  if (process.env.CONTRAIL_TEST_KEYRING) {
    step("the lack of a keyring is said once, and not at all where there is one", async () => {
      await scene.window.quit();
      const warnings = scene.log.split("\n").filter((line) => line.includes("secrets stay in memory"));
      assert.equal(warnings.length, process.env.CONTRAIL_TEST_KEYRING === "1" ? 0 : 1, scene.log);
    });
  }
});
