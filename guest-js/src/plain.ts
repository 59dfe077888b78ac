import { invalid } from "./error.js";

/** What kind of value this is: `Null`, `Array`, `Map`, … */
export function typeName(value: unknown): string {
  return {}.toString.call(value).slice(8, -1);
}

/**
 * A copy of `value` as it would arrive in Rust. What JSON would drop or turn into something else is refused.
 *
 * @throws WatchError `invalid-options`
 */
export function plain<T>(value: T): T {
  try {
    const json = JSON.stringify(value, (name, it: unknown) => {
      if (Number.isFinite(it) || /^(Object|Array|String|Boolean|Null|Undefined)$/.test(typeName(it)))
        return it;
      throw Error(`${name}: cannot send this ${typeName(it)}`);
    });
    return JSON.parse(json) as T;
  } catch (reason) {
    throw invalid((reason as Error).message);
  }
}
