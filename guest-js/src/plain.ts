import { invalid, WatchError } from "./error.js";

/** Levels of arrays and objects that one value may have. Rust reads 128, and some are around the value. */
const MAX_LEVELS = 100;

/** Half of a pair of surrogates: JavaScript can cut an emoji in two, UTF-8 cannot write half of one. */
const HALF_A_CHARACTER = /\p{Surrogate}/u;

/** What kind of value this is: `Null`, `Array`, `Map`, … */
export function typeName(value: unknown): string {
  // "[object Map]"
  return Object.prototype.toString.call(value).slice(8, -1);
}

/**
 * A copy of `value` as it arrives in Rust: without members that are undefined, and with what `toJSON` gives. What JSON
 * would drop or turn into something else, or Rust cannot read, is refused: without an answer, where Tauri has to post
 * its messages.
 *
 * @param name - what the app calls it; the error says which member of it is wrong
 * @throws WatchError `invalid-options`
 */
export function plain<T>(value: T, name = ""): T {
  try {
    return copy(value, name, 0) as T;
  } catch (reason) {
    throw reason instanceof WatchError ? reason : invalid(`${name}: cannot be read`);
  }
}

function copy(value: unknown, path: string, level: number): unknown {
  const refuse = (what: string) => invalid(`${path}: cannot send ${what}`);
  if (value === null || typeof value === "boolean") return value;
  if (typeof value === "string") {
    if (HALF_A_CHARACTER.test(value)) throw refuse("half a character");
    return value;
  }
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw refuse(String(value));
    return value;
  }
  if (typeof value !== "object") throw refuse(value === undefined ? "undefined" : `a ${typeName(value)}`);
  if (level === MAX_LEVELS) throw refuse(`what has more than ${MAX_LEVELS} levels, or holds itself`);
  const { toJSON } = value as { toJSON?: unknown };
  if (typeof toJSON === "function") {
    const json: unknown = toJSON.call(value);
    if (json === null || json === undefined) throw refuse(`an invalid ${typeName(value)}`);
    return copy(json, path, level + 1);
  }
  if (Array.isArray(value)) return Array.from(value, (it, i) => copy(it, `${path}[${i}]`, level + 1));
  if (typeName(value) !== "Object") throw refuse(`a ${typeName(value)}`);
  const entries = Object.entries(value).filter(([, it]) => it !== undefined);
  return Object.fromEntries(
    entries.map(([name, it]) => [copy(name, path, level), copy(it, member(path, name), level + 1)]),
  );
}

function member(path: string, name: string): string {
  if (!/^[\w$]+$/.test(name)) return `${path}[${JSON.stringify(name)}]`;
  return path ? `${path}.${name}` : name;
}

/** A text without half characters. */
export function whole(text: string): string {
  return text.replace(/\p{Surrogate}/gu, "\uFFFD");
}

/**
 * @param name - what the app calls it
 * @throws WatchError `invalid-options` for what is no text, or an empty one
 */
export function checkText(value: unknown, name: string): void {
  if (typeof value !== "string") throw invalid(`${name} is ${typeName(value)}, it must be a string`);
  if (!value) throw invalid(`${name} is empty`);
}
