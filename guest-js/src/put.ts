import { checkTarget } from "./edits.js";
import { invalid } from "./error.js";
import { checkText, plain, typeName } from "./plain.js";
import type { NewWrite } from "./wire-writes.js";
import type { NewRecord } from "./writing.js";

/** Bytes of JSON that one value may have. */
const MAX_BYTES = 1024 * 1024;

/**
 * A copy of what the app writes. A whole record of a list will do, as it is when one edits it: what is not named here is
 * left out.
 *
 * @throws WatchError `invalid-options`
 */
export function newWrite(given: NewRecord<unknown>): { write: NewWrite } {
  const name = "put";
  if (typeName(given) !== "Object") throw invalid(`${name}: a record is needed, not ${typeName(given)}`);
  const { rkey, did, collection, value, space, time_us } = given;
  checkText(did, `${name}: did`);
  for (const [member, text] of Object.entries({ rkey, collection, space })) {
    if (text !== undefined) checkText(text, `${name}: ${member}`);
  }
  if (value === undefined) throw invalid(`${name}: value is undefined`);
  if (time_us !== undefined && typeof time_us !== "number") {
    throw invalid(`${name}: time_us is ${typeName(time_us)}, it must be a number`);
  }
  const write = plain({ rkey, did, collection, value, space, time_us }, name) as NewWrite;
  const bytes = new TextEncoder().encode(JSON.stringify(write.value)).length;
  if (bytes > MAX_BYTES) throw invalid(`${name}: value has ${bytes} bytes as JSON, more than ${MAX_BYTES}`);
  return { write };
}

/** @throws WatchError `invalid-options` */
export function deletion(rkey: string, did: string | undefined): { rkey: string; did?: string | undefined } {
  checkTarget("delete", rkey, did);
  return plain({ rkey, did }, "delete");
}
