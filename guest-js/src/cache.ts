import { isTauri } from "@tauri-apps/api/core";
import type { CacheInfo } from "./bindings/CacheInfo.js";
import type { CacheWarning } from "./bindings/CacheWarning.js";
import { listenTo } from "./bridge.js";
import { callPlugin } from "./call.js";
import { invalid, reportUncaught, toWatchError } from "./error.js";
import { checkText, typeName } from "./plain.js";

/**
 * The cache for a store's option `cache`, where a web client has `createIndexedDBCache()`. There is one for the whole
 * app, kept by Rust, so this is just `true`.
 */
export function createSqliteCache(): true {
  return true;
}

/**
 * Removes cached records: those of one cache key, of one account, of both at once, or, without an argument, all there are.
 * A key or an account that is undefined is refused.
 * Where the app has no cache there is nothing to do. At logout stop the stores first: a watch that goes on writes its
 * records again as they change, some seconds later.
 *
 * @param which - `key`: a store's `cacheKey`, or its `url` if it has none; `account`: a store's `account`
 * @throws WatchError `cache`, `invalid-options`, `ipc` or `not-tauri`
 */
export async function clearCache(...which: [which?: { key?: string; account?: string }]): Promise<void> {
  // What is undefined, or what Rust does not know, would be left out, and clear more than was meant.
  const given: unknown = which.length > 0 ? which[0] : {};
  if (typeName(given) !== "Object") {
    throw invalid(`clearCache takes { key?, account? }, not ${typeName(given)}`);
  }
  for (const [name, value] of Object.entries(given as object)) {
    if (name !== "key" && name !== "account") throw invalid(`clearCache: ${JSON.stringify(name)} is unknown`);
    checkText(value, `clearCache: ${name}`);
  }
  await callPlugin("clear_cache", { ...(given as object) });
}

/**
 * What the cache holds, over all watches and accounts; `null` where the app has no cache.
 *
 * @throws WatchError `cache`, `ipc` or `not-tauri`
 */
export async function cacheInfo(): Promise<CacheInfo | null> {
  return callPlugin("cache_info", {});
}

/**
 * Calls `listener` whenever there is trouble with the cache, or an end of it (`restored`), and at first for the last 16
 * warnings that there were since the app started. Stores go on regardless: a warning is for telling people.
 *
 * What `listener` throws, or Tauri if it refuses to listen, is reported as an uncaught error. Without effect outside
 * Tauri, so that it can be called while rendering on a server.
 *
 * @returns a function that ends it; no call comes after
 */
export function onCacheWarning(listener: (warning: CacheWarning) => void): () => void {
  if (!isTauri()) return () => {};
  let over = false;
  const told = new Set<number>();
  const failed = (reason: unknown) => reportUncaught(toWatchError(reason));
  const tell = (warning: CacheWarning | null | undefined) => {
    // Anybody can send an event by this name.
    if (over || typeof warning?.kind !== "string" || told.has(warning.seq)) return;
    told.add(warning.seq);
    try {
      listener(warning);
    } catch (reason) {
      reportUncaught(reason);
    }
  };
  const listening = listenTo<CacheWarning>("cache-warning", tell).catch((reason: unknown) => failed(reason));
  listening
    .then(async (unlisten) => {
      // Only once nothing can be missed any more: some of these may have come as events meanwhile.
      if (unlisten) (await callPlugin<CacheWarning[]>("cache_warnings", {})).forEach(tell);
    })
    .catch(failed);
  return () => {
    if (over) return;
    over = true;
    // Whether or not Tauri listens by now.
    listening.then((unlisten) => unlisten?.()).catch(failed);
  };
}
