// node soak.mjs: the gallery in three windows under traffic, with a fault every few seconds, while windows reload, come and
// go, and the whole app sleeps. Each minute everything comes to rest: all lists have to be the server's then, and what the
// app holds is counted. Takes the programs as the tests do; SOAK_SECONDS and SOAK_SEED say how long and which.
import { mkdtemp, readdir, readlink, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Appview, Door } from "./appview.mjs";
import { children, memory } from "./processes.mjs";
import { ALICE, APPVIEW, homes, TARGET } from "./scene.mjs";
import { Window } from "./webdriver.mjs";

const GALLERY = process.env.E2E_GALLERY ?? join(TARGET, "debug/gallery");
const SECONDS = Number(process.env.SOAK_SECONDS ?? 1800);
const SEED = Number(process.env.SOAK_SEED ?? 1);
const FAULT_MS = 5_000;
const LAP_MS = 60_000;
const NOTES = 40;
/** What the app may hold more at the end than after the first lap. */
const MAX_GROWTH = { tasks: 4, fds: 8, handles: 0, watches: 0, listeners: 0 };
/** Megabytes that allocators may keep, of the app itself. */
const MAX_GROWTH_MB = 40;
const LISTENERS = "__internal_unstable_listeners_object_id__";
/** The window from which the others are opened: it reloads, but stays. */
const DRIVER = "vue";
const OTHERS = ["react", "solid"];

/** Mulberry32: small, and the same on every machine. */
function random(seed) {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** What a process has open. WebKit keeps a piece of shared memory of each window that it ever had. */
async function openFiles(pid) {
  const folder = `/proc/${pid}/fd`;
  // One may be closed meanwhile.
  const names = await Promise.all(
    (await readdir(folder)).map((fd) => readlink(`${folder}/${fd}`).catch(() => "")),
  );
  const ofWebKit = names.filter((name) => name.startsWith("/memfd:WebKitSharedMemory"));
  return { fds: names.length - ofWebKit.length, webKitMemory: ofWebKit.length };
}

class Soak {
  #random = random(SEED);
  #door = new Door();
  /** rkey to text, in the order in which they were written last. */
  #notes = new Map();
  #said = 0;
  faults = {};

  async begin() {
    this.folder = await mkdtemp(join(tmpdir(), "contrail-soak-"));
    this.appview = await Appview.start(APPVIEW);
    this.space = await this.appview.control("openSpace", { key: "notes", owner: ALICE });
    await this.#door.open(this.appview.port);
    for (let i = 0; i < 5; i++) await this.write();
    const env = { GALLERY_APPVIEW: this.#door.url, GALLERY_QUERY: this.space.query, GALLERY_PROBE: "1" };
    this.window = await Window.open(GALLERY, { ...homes(this.folder), ...env }, { args: [DRIVER] });
    [this.driver] = await this.window.handles(1);
    for (const label of OTHERS) await this.#invoke("probe_open", { label });
  }

  async end() {
    await this.window?.close();
    await this.#door.shut();
    await this.appview?.stop("SIGTERM");
    await rm(this.folder, { recursive: true });
  }

  /** Something is written, edited or deleted. */
  async write() {
    const keys = [...this.#notes.keys()];
    const known = keys[this.#random(Math.max(keys.length, 1))];
    const at = { spaceUri: this.space.uri, collection: "message", did: ALICE };
    if (keys.length > NOTES || (keys.length > 5 && this.#random(5) === 0)) {
      // Some deletions tell nobody, as on a server whose purge is behind.
      await this.appview.control("delete", { ...at, rkey: known, silent: this.#random(4) === 0 });
      this.#notes.delete(known);
      return;
    }
    const rkey = known && this.#random(3) === 0 ? known : `n${++this.#said}`;
    const text = `Note ${++this.#said}`;
    await this.appview.control("put", { ...at, rkey, record: { text } });
    this.#notes.delete(rkey);
    this.#notes.set(rkey, text);
  }

  async fault() {
    const all = {
      cut: async () => {
        await this.#door.shut();
        await this.#door.open(this.appview.port);
      },
      away: async () => {
        await this.#door.shut();
        await pause(1_500);
        await this.#door.open(this.appview.port);
      },
      waits: async () => {
        this.#door.hold();
        await pause(1_500);
        this.#door.release();
      },
      refuses: () => this.appview.control("fault", { status: 503, times: 2 }),
      half: () => this.appview.control("fault", { cutAfterEvents: 3, times: 1 }),
      sleeps: async () => {
        process.kill(this.window.pid, "SIGSTOP");
        await pause(2_500);
        process.kill(this.window.pid, "SIGCONT");
      },
      reload: async () => {
        await this.window.go(this.driver);
        await this.window.reload();
      },
      reopen: async () => {
        const label = OTHERS[this.#random(OTHERS.length)];
        await this.#invoke("probe_close", { label });
        await this.#settled(OTHERS.length);
        await this.#invoke("probe_open", { label });
        await this.#settled(OTHERS.length + 1);
      },
    };
    const names = Object.keys(all);
    const name = names[this.#random(names.length)];
    this.faults[name] = (this.faults[name] ?? 0) + 1;
    await all[name]();
  }

  /** Everything comes to rest: all lists are the server's, and this is what the app holds. */
  async rest() {
    await this.appview.control("fault", {});
    // A deletion that told nobody is found by the next comparison, or at once by the next connect.
    await this.#door.shut();
    await this.#door.open(this.appview.port);
    const wanted = [...this.#notes].toReversed();
    const handles = await this.window.handles(OTHERS.length + 1);
    for (const handle of handles) {
      await this.window.go(handle);
      await this.window.until(
        `the list is the server's: ${JSON.stringify(wanted)}`,
        (wanted) => {
          const list = document.querySelector("ol");
          const text = (row) =>
            [...row.childNodes].map((node) => (node.nodeType === 3 ? node.data : "")).join("");
          const shown = [...list.querySelectorAll("li")].map((row) => [row.id, text(row).trim()]);
          return list.dataset.status === "live" && JSON.stringify(shown) === JSON.stringify(wanted);
        },
        [wanted],
        45_000,
      );
    }
    await this.window.go(this.driver);
    const counts = await this.#invoke("probe_counts");
    const listeners = await this.window.run(
      (name) => Object.getOwnPropertyNames(globalThis[name]).length,
      LISTENERS,
    );
    const { pid } = this.window;
    const pages = await Promise.all((await children(pid, "WebKitWebProcess")).map(memory));
    return {
      ...counts,
      listeners,
      ...(await openFiles(pid)),
      appMb: await memory(pid),
      pagesMb: pages.reduce((sum, mb) => sum + mb, 0),
      records: wanted.length,
    };
  }

  async #invoke(command, args = {}) {
    await this.window.go(this.driver);
    return this.window.run(
      (command, args) => globalThis.__TAURI_INTERNALS__.invoke(command, args),
      command,
      args,
    );
  }

  async #settled(windows) {
    await this.window.handles(windows);
  }
}

function describe(lap, { appMb, pagesMb, ...counts }) {
  const mb = `${appMb.toFixed(1)} MB in the app, ${pagesMb.toFixed(1)} MB in its pages`;
  console.log(`lap ${lap}: ${mb}; ${JSON.stringify(counts)}`);
}

const soak = new Soak();
try {
  await soak.begin();
  const end = Date.now() + 1000 * SECONDS;
  const laps = [];
  while (Date.now() < end) {
    const lapEnd = Math.min(Date.now() + LAP_MS, end);
    let nextFault = Date.now() + FAULT_MS;
    while (Date.now() < lapEnd) {
      await soak.write();
      if (Date.now() >= nextFault) {
        await soak.fault();
        nextFault = Date.now() + FAULT_MS;
      }
      await pause(100);
    }
    laps.push(await soak.rest());
    describe(laps.length, laps.at(-1));
  }
  console.log(`faults: ${JSON.stringify(soak.faults)}`);
  const [first, last] = [laps[0], laps.at(-1)];
  const grown = Object.keys(MAX_GROWTH).filter((name) => last[name] > first[name] + MAX_GROWTH[name]);
  if (last.appMb > first.appMb + MAX_GROWTH_MB) grown.push("appMb");
  if (grown.length > 0) throw new Error(`grew: ${grown.join(", ")}`);
} finally {
  await soak.end();
}
