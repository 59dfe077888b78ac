import { isTauri } from "@tauri-apps/api/core";
import { callPlugin } from "./call.js";
import { invalid, WatchError } from "./error.js";
import { readWrites } from "./pending.js";
import { checkText, typeName } from "./plain.js";
import { follow } from "./queue.js";
import type { PendingWrite, Whose } from "./writing.js";

/**
 * The writes that wait, the oldest first: those of one account, or all. What failed is among them.
 *
 * ```ts
 * const failed = (await pendingWrites({ account })).filter(({ state }) => state === "failed");
 * ```
 *
 * @param whose - `account`: a store's `account`; everybody's by default
 * @throws WatchError `invalid-options`, `ipc` or `not-tauri`
 */
export async function pendingWrites(whose: Whose = {}): Promise<PendingWrite[]> {
  const writes = readWrites(await callPlugin("pending_writes", { ...checkWhose("pendingWrites", whose) }));
  if (!writes) throw unreadable("pending_writes");
  return writes;
}

/**
 * Takes all writes back that wait, those of one account, or, without an argument, all: at a logout, say. What the server
 * has is shown again. An account that is undefined is refused.
 *
 * @param whose - `account`: a store's `account`
 * @returns how many there were
 * @throws WatchError `invalid-options`, `ipc` or `not-tauri`
 */
export async function discardWrites(...whose: [whose?: Whose]): Promise<number> {
  // What is undefined would be left out, and take back more than was meant.
  const given = checkWhose("discardWrites", whose.length > 0 ? whose[0] : {}, true);
  const count = await callPlugin("discard_writes", { ...given });
  if (typeof count !== "number") throw unreadable("discard_writes");
  return count;
}

/**
 * Calls `listener` with the writes that wait, the oldest first, as soon as they are known and at each change: a new array,
 * in which unchanged writes are the same objects. All listeners of an account share one call to Rust.
 *
 * What `listener` throws is reported as an uncaught error. Without effect outside Tauri, so that it can be called while
 * rendering on a server.
 *
 * ```ts
 * const end = watchWrites({ account }, (writes) => {
 *   badge.textContent = String(writes.length);
 * });
 * ```
 *
 * @param whose - `account`: a store's `account`; everybody's by default
 * @returns a function that ends it; no call comes after
 * @throws WatchError `invalid-options`
 */
export function watchWrites(whose: Whose, listener: (writes: readonly PendingWrite[]) => void): () => void {
  const { account } = checkWhose("watchWrites", whose);
  if (typeof listener !== "function") throw invalid("watchWrites: a listener is needed");
  return isTauri() ? follow(account, listener) : () => {};
}

/**
 * A record key that is new: a TID of the time that Rust has, later than all that it gave before. `put` makes one itself
 * where it is given none.
 *
 * @throws WatchError `ipc` or `not-tauri`
 */
export async function nextTid(): Promise<string> {
  const tid = await callPlugin("next_tid", {});
  if (typeof tid !== "string") throw unreadable("next_tid");
  return tid;
}

/** @throws WatchError `invalid-options` */
function checkWhose(name: string, whose: unknown, isStrict = false): Whose {
  if (typeName(whose) !== "Object") throw invalid(`${name} takes { account? }, not ${typeName(whose)}`);
  for (const [member, value] of Object.entries(whose as object)) {
    if (member !== "account") throw invalid(`${name}: ${JSON.stringify(member)} is unknown`);
    if (value !== undefined || isStrict) checkText(value, `${name}: ${member}`);
  }
  return whose as Whose;
}

function unreadable(command: string): WatchError {
  return new WatchError("internal", `the answer of ${command} cannot be read`);
}
