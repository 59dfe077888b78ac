import { invalid } from "./error.js";
import { checkText, plain, typeName, whole } from "./plain.js";
import type { OptimisticRecord } from "./types.js";

/** A change that shows before the server confirms it. */
export type Edit =
  | Addition
  | { op: "fail"; rkey: string; did: string | undefined; error: Failure }
  | { op: "remove"; rkey: string; did: string | undefined };

/** One that shows a record. */
interface Addition {
  op: "add";
  record: OptimisticRecord<unknown>;
}

/** Why a record failed. */
export interface Failure {
  name: string;
  message: string;
}

/** Edits of a store that may wait: for the watch to be open, or for the edit before them. */
export const MAX_EDITS = 1000;

/**
 * A copy of what the app adds. A whole record of a list will do, as it is when one tries again: what is not named here is
 * left out.
 *
 * @throws WatchError `invalid-options`
 */
export function addition(given: OptimisticRecord<unknown>): Edit {
  const name = "addOptimistic";
  if (typeName(given) !== "Object") throw invalid(`${name}: a record is needed, not ${typeName(given)}`);
  const { rkey, did, collection, value, time_us, uri, space } = given;
  checkTarget(name, rkey, did);
  for (const [member, text] of Object.entries({ did, collection, uri, space })) {
    if (text !== undefined || member === "did") checkText(text, `${name}: ${member}`);
  }
  if (value === undefined) throw invalid(`${name}: value is undefined`);
  if (time_us !== undefined && typeof time_us !== "number") {
    throw invalid(`${name}: time_us is ${typeName(time_us)}, it must be a number`);
  }
  return { op: "add", record: plain({ rkey, did, collection, value, time_us, uri, space }, name) };
}

/** @throws WatchError `invalid-options` */
export function failing(rkey: string, did: string | undefined, err: unknown): Edit {
  checkTarget("markFailed", rkey, did);
  return plain({ op: "fail", rkey, did, error: failure(err) }, "markFailed");
}

/** @throws WatchError `invalid-options` */
export function removal(rkey: string, did: string | undefined): Edit {
  checkTarget("removeOptimistic", rkey, did);
  return plain({ op: "remove", rkey, did }, "removeOptimistic");
}

/** The store's method that makes such an edit. */
export function methodOf(edit: Edit): string {
  return { add: "addOptimistic", fail: "markFailed", remove: "removeOptimistic" }[edit.op];
}

/** The edits that have the same effect on a list without any: each record that is added once, with its failure. */
export function condense(edits: readonly Edit[]): Edit[] {
  const kept: { add: Addition; fail?: Edit }[] = [];
  /** Where the newest is that is meant. */
  const find = (rkey: string, did: string | undefined, collection?: string) => {
    let at = kept.length - 1;
    while (at >= 0 && !isMeant(kept[at]!.add.record, rkey, did, collection)) at -= 1;
    return at;
  };
  for (const edit of edits) {
    if (edit.op === "add") {
      const { rkey, did, collection } = edit.record;
      const at = find(rkey, did, collection);
      if (at >= 0) kept.splice(at, 1);
      kept.push({ add: edit });
      continue;
    }
    const at = find(edit.rkey, edit.did);
    const meant = kept[at];
    if (!meant) continue;
    if (edit.op === "remove") kept.splice(at, 1);
    else meant.fail = { ...edit, did: meant.add.record.did };
  }
  return kept.flatMap(({ add, fail }) => (fail ? [add, fail] : [add]));
}

/** Whether `record` is the one of these names; who leaves one out means any. */
function isMeant(record: Addition["record"], rkey: string, did?: string, collection?: string): boolean {
  const agrees = (a: string | undefined, b: string | undefined) => !a || !b || a === b;
  return record.rkey === rkey && agrees(record.did, did) && agrees(record.collection, collection);
}

/** @throws WatchError `invalid-options` */
export function checkTarget(method: string, rkey: unknown, did: unknown): void {
  checkText(rkey, `${method}: rkey`);
  if (did !== undefined) checkText(did, `${method}: did`);
}

/** What anybody may throw, as a name and a message, both cut. What is no error, nor like one, is its own message. */
function failure(err: unknown): Failure {
  const like = (err ?? {}) as { name?: unknown; message?: unknown };
  const { name = "Error", message = err ?? "" } = like;
  return { name: cut(name, 100), message: cut(message, 1000) };
}

/** The first characters of a text, none of them half. */
function cut(text: unknown, chars: number): string {
  try {
    return whole([...String(text)].slice(0, chars).join(""));
  } catch {
    throw invalid("markFailed: the error has no text");
  }
}
