// What the pictures show. Each scene sets itself up on a stage and gives a picture; what may differ from one time to the
// next it names.
import { ALICE, BOB, CAROL, RECONNECT_MS } from "../scene.mjs";
import { beside } from "./png.mjs";
import { Stage } from "./stage.mjs";

/** What people say of a hike, from the evening before on: [rkey, author, text, what it answers]. */
const TALK = [
  ["m-1300", ALICE, "Forecast for Saturday is finally out: sunny, 14 degrees, hardly any wind ☀️"],
  ["m-1297", BOB, "Then we should really go. The ridge trail or the lake loop?"],
];
TALK.push(["m-1294", CAROL, "Ridge! We did the lake in spring", TALK[1]]);
TALK.push(["m2", ALICE, "Ridge it is. Train at 7:42 from platform 3, we would be at the hut by noon"]);
TALK.push(["m4", BOB, "7:42 on a Saturday… Well, I sleep on the train (edited)", TALK[3]]);
TALK.push(["m20", CAROL, "I bring the big stove and two gas cartridges. Who has a pot?"]);
TALK.push(["m21", CAROL, "And the map 🗺️"]);
TALK.push(["m24", ALICE, "I do. And coffee.", TALK[5]]);
const REACTIONS = [
  [0, BOB, "🎉"],
  [0, CAROL, "🎉"],
  [2, ALICE, "👍"],
  [3, BOB, "👍"],
  [3, CAROL, "👍"],
  [4, ALICE, "😂"],
  [7, BOB, "❤️"],
  [7, CAROL, "❤️"],
];

/** What is said in another room. */
const KITCHEN = [
  ["m8", CAROL, "New room, so that the soup does not get lost among the trains"],
  ["m9", ALICE, "Lentils, two onions, a carrot each"],
  ["m15", BOB, "The hut has salt and pepper, nothing else"],
];
KITCHEN.push(["m16", BOB, "I bring bread. Sourdough or the dark one?"]);
KITCHEN.push(["m19", CAROL, "Yes", KITCHEN[3]]);

/** A shorter one. */
const SHORT = [
  ["m20", CAROL, "I have a filter for the lake, just in case"],
  ["m24", BOB, "Who looks up the last train?"],
  ["m25", ALICE, "I do, tonight"],
];

/** As many older messages as it takes to have to ask for some. */
const OLD = Array.from({ length: 70 }, (_, i) => [
  `m${4 * (i - 70)}`,
  [BOB, CAROL, ALICE][Math.floor(i / 2) % 3],
  ["Kilometre", "Photo", "Stop"][i % 3] + ` ${i + 1} of the last hike`,
]);

async function react(scene, reactions = REACTIONS, messages = TALK) {
  for (const [which, did, emoji] of reactions) await scene.react(messages[which], did, emoji);
}

/** The first part of what a message is, as `Scene.shows` wants it. */
const plain = (messages) => messages.map(([rkey, did, text]) => [rkey, did, text]);

/** Opens the chat with `did` signed in, once it shows these messages. */
async function open(stage, did, messages, env) {
  await stage.open(env);
  await stage.signIn(did);
  await stage.scene.shows("live", plain(messages), 30_000);
}

/** Each scene by the name of its picture; `scheme` is light or dark. */
export const SCENES = {
  "sign-in": (scheme) =>
    on(scheme, TALK, {}, async (stage) => {
      await stage.open();
      return stage.picture();
    }),

  chat: (scheme) =>
    on(scheme, TALK, {}, async (stage) => {
      await react(stage.scene);
      await stage.scene.addRoom("hut-kitchen", KITCHEN);
      await open(stage, ALICE, TALK);
      return stage.picture();
    }),

  rooms: (scheme) =>
    on(scheme, TALK, {}, async (stage) => {
      const { scene } = stage;
      await scene.addRoom("hut-kitchen", KITCHEN);
      await scene.addRoom("photos", []);
      await open(stage, BOB, TALK);
      await scene.go("Hut kitchen");
      await scene.shows("live", plain(KITCHEN));
      return stage.picture();
    }),

  history: (scheme) =>
    on(scheme, [...OLD, ...SHORT], {}, async (stage) => {
      const { scene } = stage;
      const list = [...OLD, ...SHORT];
      await open(stage, ALICE, list.slice(-50));
      await scene.window.run(() => (document.querySelector("[role=region]").scrollTop = 0));
      await scene.text("latest");
      const news = ["m58", CAROL, "18:42, and one at 20:10"];
      scene.date([news]);
      await scene.put(...news);
      await scene.shows("live", [...list.slice(-50), news]);
      await scene.window.until("the new message is announced", () =>
        document.querySelector("[data-testid=latest]")?.textContent.includes("1 new message"),
      );
      return stage.picture();
    }),

  writes: (scheme) =>
    on(scheme, SHORT, {}, async (stage) => {
      const { scene } = stage;
      await open(stage, ALICE, SHORT);
      await scene.refuse("a message needs a language", 1);
      await scene.is(await scene.write("Gibt es oben Wasser?"), "failed");
      await stage.later();
      await scene.holdWrites();
      await scene.write("Booked: two seats by the window");
      await scene.choose("m25", "delete");
      await scene.waiting(3);
      return stage.picture();
    }),

  conflict: (scheme) =>
    on(scheme, SHORT, { isPublic: true }, async (stage) => {
      const { scene } = stage;
      // Lists are looked at seldom enough for a change that this window does not know of.
      await open(stage, ALICE, SHORT, { CHAT_POLL_MS: "3600000" });
      await scene.put("m25", ALICE, "Carol does");
      await scene.edit("m25", "I do, on Friday");
      await scene.text("theirs");
      return stage.picture();
    }),

  kicked: (scheme) =>
    on(scheme, SHORT, {}, async (stage) => {
      await stage.scene.addRoom("hut-kitchen", KITCHEN);
      await open(stage, BOB, SHORT);
      await stage.scene.appview.control("kick", { spaceUri: stage.scene.space, did: BOB });
      await stage.scene.text("access-lost");
      return stage.picture();
    }),

  offline: (scheme) =>
    on(scheme, TALK, {}, async (stage) => {
      const { scene } = stage;
      await react(scene);
      await open(stage, ALICE, TALK);
      await scene.caches(TALK.length);
      await scene.window.quit();
      await scene.unplug();
      await stage.open();
      await stage.signIn(ALICE);
      await scene.shows("reconnecting", plain(TALK));
      await scene.write("Written in the tunnel, sent at the next station");
      await scene.waiting(1);
      return stage.picture({ masks: ["[data-testid=error]"] });
    }),

  windows: (scheme) =>
    on(scheme, SHORT, {}, async (stage) => {
      const { scene } = stage;
      await stage.open({ CHAT_WINDOWS: "2" });
      const handles = await scene.window.handles(2);
      await scene.holdWrites();
      const list = [...SHORT];
      const pictures = [];
      for (const [i, handle] of handles.entries()) {
        await scene.window.go(handle);
        await scene.window.resize(500, 620);
        await stage.enter();
        await stage.signIn(ALICE);
        await scene.shows("live", list, 30_000);
        if (i > 0) continue;
        const text = "Two seats on the 20:10 then";
        list.push([await scene.write(text), ALICE, text]);
      }
      for (const handle of handles) {
        await scene.window.go(handle);
        await scene.shows("live", list);
        pictures.push((await stage.picture()).image);
      }
      return { image: beside(pictures, GROUND[scheme]), boxes: [] };
    }),

  inspector: (scheme) =>
    on(scheme, SHORT, {}, async (stage) => {
      const { scene } = stage;
      await open(stage, ALICE, SHORT);
      await scene.click("inspect");
      await seen(scene, "the inspector shows the watch", (root) => root.querySelector(".fact"));
      for (let n = 0; n < 6; n += 1) {
        const message = [`m${30 + n}`, BOB, `Kilometre ${n + 1}, still dry`];
        scene.date([message]);
        await scene.put(...message);
      }
      const logged = (root) => root.querySelectorAll(".log li[data-kind=created]").length === 6;
      await seen(scene, "six messages are logged", logged);
      await seen(scene, "there is a button", (root) => {
        root.querySelector("[data-deed=drop]").click();
        return true;
      });
      const isBack = (root) =>
        root.querySelector(".timeline [data-kind=failed]") &&
        root.querySelector(".timeline li").dataset.kind === "live";
      await seen(scene, "it is live again", isBack, RECONNECT_MS);
      return stage.picture({ masks: CHANGEABLE });
    }),

  lists: (scheme) =>
    on(scheme, TALK, { isPublic: true }, async (stage) => {
      await react(stage.scene);
      await open(stage, BOB, TALK);
      await stage.scene.text("handle");
      return stage.picture();
    }),
};

/** What two windows stand on. */
const GROUND = { light: 0xc8d2e6, dark: 0x05070c };

/** What the inspector measures, and when it did. */
const CHANGEABLE = [".summary", ".rate", ".flow", ".groups dd", ".events time", ".timeline .words"];

async function on(scheme, messages, options, play) {
  const stage = await Stage.set(scheme, messages, options);
  try {
    return await play(stage);
  } finally {
    await stage.strike();
  }
}

/** Waits until `look` is true of the inspector, which is looked at once a frame: nobody tells of changes in a shadow tree. */
function seen(scene, what, look, ms = 15_000) {
  return scene.window.run(`async () => {
    const look = ${look};
    const end = Date.now() + ${ms};
    for (;;) {
      const root = document.querySelector("watch-inspector")?.shadowRoot;
      if (root && look(root)) return;
      if (Date.now() > end) throw new Error(${JSON.stringify(what)} + ", in vain");
      await new Promise(requestAnimationFrame);
    }
  }`);
}
