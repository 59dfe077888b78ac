import { invalid } from "./error.js";

/** What kind of value this is: `Null`, `Array`, `Map`, … */
export function typeName(value: unknown): string {
  // "[object Map]"
  return Object.prototype.toString.call(value).slice(8, -1);
}

/** What JSON carries as it is; members that are undefined are left out. */
const PLAIN = new Set(["Object", "Array", "String", "Boolean", "Null", "Undefined"]);

function isPlain(value: unknown): boolean {
  return PLAIN.has(typeName(value)) || Number.isFinite(value);
}

/**
 * A copy of `value` as it would arrive in Rust. What JSON would drop or turn into something else is refused.
 *
 * @throws WatchError `invalid-options`
 */
export function plain<T>(value: T): T {
  try {
    const json = JSON.stringify(value, (name, it: unknown) => {
      if (!isPlain(it)) throw new Error(`${name}: cannot send this ${typeName(it)}`);
      return it;
    });
    return JSON.parse(json) as T;
  } catch (reason) {
    throw invalid((reason as Error).message);
  }
}
