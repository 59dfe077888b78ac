// node run.mjs chat|gallery: an app in three windows under traffic, with a fault every few seconds, while windows reload, come
// and go, and the whole app sleeps. Each minute everything comes to rest: all lists have to be the server's then, and what
// the app holds is counted. Takes the programs as the tests do; SOAK_SECONDS and SOAK_SEED say how long and which.
import { mkdtemp, readdir, readlink, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Appview, Door } from "../appview.mjs";
import { children, memory } from "../processes.mjs";
import { APPVIEW, homes } from "../scene.mjs";
import { Window } from "../webdriver.mjs";
import { Chat } from "./chat.mjs";
import { Gallery } from "./gallery.mjs";
import { pause, random } from "./random.mjs";

const APPS = { chat: Chat, gallery: Gallery };
const SECONDS = Number(process.env.SOAK_SECONDS ?? 1800);
const SEED = Number(process.env.SOAK_SEED ?? 1);
const FAULT_MS = 5_000;
const LAP_MS = 60_000;
/** What the app may hold more at the end than after the first lap. */
const MAX_GROWTH = { tasks: 4, fds: 8, handles: 0, watches: 0, listeners: 0 };
/** Megabytes that allocators may keep, of the app itself. */
const MAX_GROWTH_MB = 40;
const LISTENERS = "__internal_unstable_listeners_object_id__";

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
  faults = {};

  async begin(App) {
    this.folder = await mkdtemp(join(tmpdir(), "contrail-soak-"));
    this.appview = await Appview.start(APPVIEW, App.appviewArgs);
    this.app = new App(this.appview, this.#random);
    await this.app.begin();
    await this.#door.open(this.appview.port);
    const env = { ...homes(this.folder), ...this.app.env(this.#door.url) };
    this.window = await Window.open(this.app.program, env, { args: [this.app.driver] });
    [this.driver] = await this.window.handles(1);
    for (const label of this.app.others) await this.#invoke("probe_open", { label });
    await this.window.handles(this.#windows);
  }

  async end() {
    await this.window?.close();
    await this.#door.shut();
    await this.appview?.stop("SIGTERM");
    await rm(this.folder, { recursive: true });
  }

  get #windows() {
    return this.app.others.length + 1;
  }

  #any(list) {
    return list[this.#random(list.length)];
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
        const label = this.#any(this.app.others);
        await this.#invoke("probe_close", { label });
        await this.window.handles(this.#windows - 1);
        await this.#invoke("probe_open", { label });
        await this.window.handles(this.#windows);
      },
    };
    const names = [...Object.keys(all), ...Object.keys(this.app.acts)];
    const name = this.#any(names);
    this.faults[name] = (this.faults[name] ?? 0) + 1;
    if (all[name]) return all[name]();
    await this.window.go(this.#any(await this.window.handles(this.#windows)));
    await this.app.acts[name](this.window);
  }

  /** Everything comes to rest: all lists are the server's, and this is what the app holds. */
  async rest() {
    await this.appview.control("fault", {});
    // A deletion that told nobody is found by the next comparison, or at once by the next connect.
    await this.#door.shut();
    await this.#door.open(this.appview.port);
    await this.window.go(this.driver);
    await this.app.settle(this.window);
    const wanted = await this.app.wanted();
    for (const handle of await this.window.handles(this.#windows)) {
      await this.window.go(handle);
      await this.window.until(
        `the list is the server's: ${JSON.stringify(wanted)}`,
        this.app.shows,
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
}

function describe(lap, { appMb, pagesMb, ...counts }) {
  const mb = `${appMb.toFixed(1)} MB in the app, ${pagesMb.toFixed(1)} MB in its pages`;
  console.log(`lap ${lap}: ${mb}; ${JSON.stringify(counts)}`);
}

const soak = new Soak();
try {
  const App = APPS[process.argv[2]];
  if (!App) throw new Error(`which app: ${Object.keys(APPS).join(" or ")}?`);
  await soak.begin(App);
  const end = Date.now() + 1000 * SECONDS;
  const laps = [];
  while (Date.now() < end) {
    const lapEnd = Math.min(Date.now() + LAP_MS, end);
    let nextFault = Date.now() + FAULT_MS;
    while (Date.now() < lapEnd) {
      await soak.app.write();
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
