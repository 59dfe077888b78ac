import { invoke } from "@tauri-apps/api/core";
import { cacheInfo, clearCache } from "tauri-plugin-contrail-sync-api";
import { ALICE } from "./appview.js";
import { Changes } from "./changes.js";
import { contestants, ours } from "./contestants.js";
import { longestGap, painted, ROWS, show, watchFrames } from "./screen.js";

/** Changes of a flood at full rate. */
const FLOOD = 3000;
/** Longest time for one step, in milliseconds. */
const PATIENCE = 60_000;
/** What is still on its way when a paced flood ends may take this long. */
const GRACE = 500;
/** Time for everything to calm down, collecting garbage included. */
const REST = 300;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function within(pending, what) {
  const late = sleep(PATIENCE).then(() => Promise.reject(new Error(`${what}: not within ${PATIENCE} ms`)));
  return Promise.race([pending, late]);
}

/** Opens `space` as `open` does; what is known once it is live, and when the first rows and all of it were there. */
async function start(space, open) {
  let take = () => {};
  let first;
  watchFrames();
  const begin = performance.now();
  const watch = { listen: (listener) => (take = listener) };
  await within(
    new Promise((resolve) => {
      watch.close = open(space.url, (news) => {
        show((watch.records = news.records));
        if (count(news.records) >= Math.min(ROWS, space.n)) first ??= painted();
        if (news.live) resolve((watch.live ??= performance.now() - begin));
        take(news);
      });
    }),
    "live",
  );
  watch.rows = (await within(first, "first rows")) - begin;
  watch.gap = await longestGap();
  return watch;
}

function count(records) {
  return records.size ?? records.length;
}

/** Floods a live watch; gives its changes, when the flood began, and what it cost per 1,000 changes. */
async function flood(appview, space, watch, idle, how) {
  const changes = new Changes(how.n, watch.records);
  watch.listen((news) => changes.take(news));
  await sleep(REST);
  const before = await invoke("usage");
  const since = performance.now();
  watchFrames();
  const { started, ms } = await within(appview.flood(space, how), "flood");
  if (how.rate) await Promise.race([changes.all, sleep(GRACE)]);
  else changes.end = await within(changes.all, "the last change");
  const gap = await longestGap();
  await sleep(REST);
  const after = await invoke("usage");
  const elapsed = performance.now() - since;
  const cost = (of) => ((after[of] - before[of] - idle[of] * elapsed) / how.n) * 1000;
  return { changes, started, ms, gap, cost };
}

/** What each process uses per millisecond when nothing happens, and the longest time between two frames then. */
export async function idling(ms) {
  await sleep(REST);
  const before = await invoke("usage");
  const since = performance.now();
  watchFrames();
  await sleep(ms);
  const gap = await longestGap();
  const after = await invoke("usage");
  const elapsed = performance.now() - since;
  const idle = Object.keys(after).map((of) => [of, (after[of] - before[of]) / elapsed]);
  return { gap, idle: Object.fromEntries(idle) };
}

/** Start to live, `times` times. */
export async function starting(who, space, times, sample) {
  for (let i = 0; i < times; i++) {
    await sleep(REST);
    const watch = await start(space, contestants[who]);
    watch.close();
    if (count(watch.records) !== space.n) throw new Error(`${count(watch.records)} of ${space.n} records`);
    sample("start to live", space.n, "ms", watch.live);
    sample("start to first 50 rows on screen", space.n, "ms", watch.rows);
    sample("longest frame gap until live", space.n, "ms", watch.gap);
  }
}

/** As many as can be waited for where a list of `n` is sorted at each. */
function few(n) {
  return n < 10_000 ? FLOOD : n < 50_000 ? 1000 : 300;
}

/** Updates and new records, as fast as they can be sent. */
export async function flooding(who, appview, space, idle, sample) {
  const n = who === "naive" ? few(space.n) : FLOOD;
  const watch = await start(space, contestants[who]);
  try {
    for (const update of [true, false]) {
      const what = update ? "updates" : "new records";
      const { changes, started, gap, cost } = await flood(appview, space, watch, idle, { n, update });
      const rate = (n / (changes.end - started)) * 1000;
      sample(`${what} at full rate`, space.n, "1/s", rate);
      sample(`longest frame gap, ${what} at full rate`, space.n, "ms", gap);
      sample(`main thread per 1,000 ${what}`, space.n, "ms", cost("mainThread"));
      const all = cost("app") + cost("web") + cost("network");
      sample(`all processes per 1,000 ${what}`, space.n, "ms", all);
    }
  } finally {
    watch.close();
  }
}

/** Updates at a steady rate for some seconds. */
export async function pacing(who, appview, space, idle, { rate, seconds }, sample) {
  const n = rate * seconds;
  const watch = await start(space, contestants[who]);
  try {
    const how = { n, update: true, rate };
    const { changes, started, ms, gap, cost } = await flood(appview, space, watch, idle, how);
    const end = started + ms + GRACE;
    const latencies = changes.seen.filter(([, at]) => at <= end).map(([latency]) => latency);
    latencies.sort((a, b) => a - b);
    const quantile = (q) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * q))];
    const what = `${rate} updates/s`;
    sample(`${what}: applied`, space.n, "%", (latencies.length / n) * 100);
    sample(`${what}: latency p50`, space.n, "ms", quantile(0.5));
    sample(`${what}: latency p95`, space.n, "ms", quantile(0.95));
    sample(`${what}: longest frame gap`, space.n, "ms", gap);
    sample(`${what}: main thread per 1,000`, space.n, "ms", cost("mainThread"));
  } finally {
    watch.close();
  }
}

/** The first rows out of the cache, while the server does not answer. The yardsticks have no cache. */
export async function cached(appview, space, times, sample) {
  const options = { cache: true, cacheMaxRecords: space.n, account: ALICE };
  const open = (url, listener) => ours(url, listener, options);
  await clearCache();
  (await start(space, open)).close();
  while ((await within(cacheInfo(), "the cache"))?.rows !== space.n) await sleep(REST);
  await appview.control("fault", { stallBeforeHeaders: true });
  try {
    for (let i = 0; i < times; i++) {
      await sleep(REST);
      sample("start to first 50 rows from the cache", space.n, "ms", await firstRows(space, open));
    }
  } finally {
    await appview.control("fault", {});
  }
}

async function firstRows(space, open) {
  const begin = performance.now();
  let close;
  const rows = new Promise((resolve) => {
    close = open(space.url, ({ records }) => {
      show(records);
      if (records.length >= ROWS) resolve(painted());
    });
  });
  try {
    return (await within(rows, "cached rows")) - begin;
  } finally {
    close();
  }
}

/** Memory of a program that shows nothing but one live watch. */
export async function remembering(who, space, sample) {
  const watch = await start(space, contestants[who]);
  await sleep(10 * REST);
  const { appMemory, webMemory } = await invoke("usage");
  sample("memory of the page's process", space.n, "MiB", webMemory);
  sample("memory of the app's process", space.n, "MiB", appMemory);
  watch.close();
}
