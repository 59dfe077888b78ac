import type { WatchOptions } from "../bindings/WatchOptions.js";
import type { NewWrite } from "../wire-writes.js";

// What Rust refuses, in its words: an app that passes a test with options that Rust does not take would fail in a window.

/** The names of options that are texts, and the bytes that they may have. */
const TEXTS: Readonly<Record<string, number>> = {
  url: 8192,
  ticket: 8192,
  minter: 256,
  account: 2048,
  cacheKey: 4096,
};

/** What an app calls them. */
const SAID: Readonly<Record<string, string>> = { ticket: "mintTicket", minter: "mintTicket.minter" };

/** Those that are numbers, with what each may be, and its unit. */
const NUMBERS: Readonly<Record<string, readonly [least: number, most: number, unit: string]>> = {
  idleTimeout: [1000, 3_600_000, " ms"],
  pollInterval: [2000, 3_600_000, " ms"],
  cacheMaxRecords: [1, 50_000, ""],
  maxRecords: [1, 200_000, ""],
};

const WORDS: Readonly<Record<string, readonly string[]>> = {
  transport: ["sse", "ws", "auto", "poll"],
  ticketIn: ["query", "header"],
};

const FLAGS = ["mint", "reconnect", "cache"];

/** Conditions that `where` may have. */
const MAX_CONDITIONS = 16;

/** Parts of a URL that a list would not heed. */
const NOT_FOR_LISTS = ["spaceUri", "inviteToken"];

/** @throws what Rust answers to `options` that make no sense */
export function checkOptions(
  options: Record<string, unknown>,
): asserts options is WatchOptions & typeof options {
  for (const [name, value] of Object.entries(options)) {
    if (value === null && name !== "url") continue;
    if (name in TEXTS) check(typeof value === "string", `${name} is ${kind(value)}, it must be a string`);
    else if (name in NUMBERS) checkWhole(name, value);
    else if (FLAGS.includes(name)) {
      check(typeof value === "boolean", `${name} is ${kind(value)}, it must be true or false`);
    } else if (name in WORDS) checkWord(name, value, WORDS[name]!);
    else if (name === "sort") checkSort(value);
    else if (name === "where") checkWhere(value);
    else check(name === "sender", `there is no option ${name}`);
  }
  for (const [name, most] of Object.entries(TEXTS)) checkBytes(SAID[name] ?? name, options[name], 0, most);
  const { ticket, cacheKey } = options as WatchOptions;
  if (typeof ticket === "string") {
    check(isTicket(ticket), "mintTicket is empty or more than one word");
  }
  check(cacheKey !== "", "cacheKey is empty");
  for (const [name, [least, most, unit]] of Object.entries(NUMBERS)) {
    const value = options[name] as number | null | undefined;
    const fits = value === undefined || value === null || (least <= value && value <= most);
    check(fits, `${name} is ${value}${unit}, it may be ${least} to ${most}`);
  }
}

/**
 * The URL of a watch, made absolute.
 *
 * @throws what Rust answers to one that cannot be watched
 */
export function checkUrl(
  text: string,
  baseUrl: string,
  { transport, ticketIn, ...options }: WatchOptions,
): URL {
  const invalid = (what: string) => fault("invalid-url", `invalid URL: ${what}`);
  if (text.trim() === "") {
    throw invalid("it is empty: give the watchRecords or listRecords URL of a collection");
  }
  let url: URL;
  try {
    url = new URL(text, baseUrl);
  } catch {
    throw invalid(`${text} is no URL`);
  }
  if (!/^https?:$/.test(url.protocol)) {
    throw invalid(`its scheme is ${url.protocol.slice(0, -1)}, it must be http or https`);
  }
  if (url.username || url.password) throw invalid("it holds a user name or password");
  if (url.searchParams.has("ticket")) {
    throw invalid("it holds a ticket: give it as mintTicket, where it stays out of logs");
  }
  if (transport !== "poll") return url;
  const hasTicket = options.ticket || options.mint || options.minter;
  const unheeded =
    hasTicket && ticketIn !== "header" ? "a ticket" : NOT_FOR_LISTS.find((it) => url.searchParams.has(it));
  if (!unheeded) return url;
  const message = `transport "poll" cannot follow ${unheeded}: lists know public records only`;
  throw fault("invalid-options", message);
}

/** @throws what Rust answers to a record that cannot be written or shown */
export function checkRecord({
  rkey,
  did,
  collection,
  space,
  value,
}: NewWrite & { uri?: string | undefined }): void {
  checkTarget(rkey ?? undefined, did);
  if (collection !== undefined) checkBytes("collection", collection, 1, 317);
  if (space !== undefined) checkBytes("space", space, 1, 8192);
  checkBytes("value", JSON.stringify(value), 1, 1024 * 1024);
}

/** @throws what Rust answers to names that no record has */
export function checkTarget(rkey: unknown, did: unknown): void {
  if (rkey !== undefined) checkBytes("rkey", rkey, 1, 512);
  if (did !== undefined) checkBytes("did", did, 1, 2048);
}

/** @throws what Rust answers where a page names a secret, or gives one, that cannot be kept */
export function checkSecret({ name, value = "x" }: Record<string, unknown>): void {
  check(value !== "", "the secret is empty");
  checkBytes("the secret", value, 0, 16_384);
  const isPlain = /^[\w.-]{1,64}$/.test(String(name));
  check(isPlain, "a secret's name has 1 to 64 letters, digits, dashes, dots and underscores");
}

/** Whether a text can be a ticket: one word. */
export function isTicket(text: string): boolean {
  return /^\s*[^\s\p{Cc}]+\s*$/u.test(text) && bytes(text.trim()) <= TEXTS["ticket"]!;
}

/** An error as Rust tells it. */
export function fault(kind: string, message: string): { kind: string; message: string } {
  return { kind, message };
}

function checkSort(sort: unknown): void {
  check(isObject(sort), `sort is ${kind(sort)}, it must be an object { by, order? }`);
  const { by, order, ...more } = sort as Record<string, unknown>;
  for (const name of Object.keys(more)) check(false, `there is no option sort.${name}`);
  check(by !== undefined, "sort.by is missing");
  check(typeof by === "string", `sort.by is ${kind(by)}, it must be a string`);
  if (order !== undefined && order !== null) checkWord("sort.order", order, ["asc", "desc"]);
  const isKnown = by === "time_us" || by === "rkey" || isPath(by as string);
  check(isKnown, "sort.by is none of time_us, rkey and value.<field>");
}

function checkWhere(where: unknown): void {
  const such = 'it must be an object such as { "value.room": "a" }';
  check(isObject(where), `where is ${kind(where)}, ${such}`);
  const conditions = Object.entries(where as object);
  const count = conditions.length;
  check(count <= MAX_CONDITIONS, `where has ${count} conditions, it may have ${MAX_CONDITIONS}`);
  for (const [path, wanted] of conditions) {
    check(isPath(path), `where["${path}"] is not named value.<field>`);
    const isScalar = typeof wanted !== "object" || wanted === null;
    const must = "it must be a string, a number, true, false or null";
    check(isScalar, `where["${path}"] is ${kind(wanted)}, ${must}`);
    checkBytes(`where["${path}"]`, wanted, 0, 1024);
  }
}

function checkWhole(name: string, value: unknown): void {
  const fits = Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 0xffffffff;
  check(fits, `${name} is ${kind(value)}, it must be a whole number from 0 to 4294967295`);
}

function checkWord(name: string, value: unknown, words: readonly string[]): void {
  const must = `must be one of ${words.map((it) => `"${it}"`).join(", ")}`;
  check(
    words.includes(value as string),
    typeof value === "string" ? `${name} ${must}` : `${name} is ${kind(value)}, it ${must}`,
  );
}

/** An option may be empty as far as this goes; what names a record may not. */
function checkBytes(name: string, text: unknown, least: 0 | 1, most: number): void {
  if (typeof text !== "string") return;
  const length = bytes(text);
  if (least <= length && length <= most) return;
  const [of, may] = least > 0 ? ["", `${least} to ${most}`] : ["invalid options: ", most];
  throw fault("invalid-options", `${of}${name} has ${length} bytes, it may have ${may}`);
}

/** @throws `invalid-options` in Rust's words */
function check(fits: unknown, message: string): void {
  if (!fits) throw fault("invalid-options", `invalid options: ${message}`);
}

function isPath(text: string): boolean {
  const steps = text.split(".");
  return (
    steps[0] === "value" &&
    steps.length > 1 &&
    steps.length <= 17 &&
    !steps.includes("") &&
    bytes(text) <= 512
  );
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What kind of value this is, in Rust's words. */
function kind(value: unknown): string {
  if (value === null) return "null";
  if (typeof value === "number") return String(value);
  if (Array.isArray(value)) return "an array";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

function bytes(text: string): number {
  return new TextEncoder().encode(text).length;
}
