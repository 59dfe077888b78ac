import type { WatchOptions } from "./bindings/WatchOptions.js";
import { invalid, WatchError } from "./error.js";
import { checkText, plain, typeName } from "./plain.js";
import type { WatchStoreOptions } from "./types.js";
import type { WireSender } from "./wire-writes.js";

/** What Rust calls a store's `mintTicket`. */
const TICKETS = ["ticket", "mint", "minter"];

/**
 * What Rust gets of a store's options: all but those that live in the page. Options that nobody knows, or of the wrong
 * type, go along, so that Rust refuses them by name.
 *
 * @throws WatchError `unsupported` or `invalid-options`
 */
export function wireOptions(options: WatchStoreOptions<never>): WatchOptions {
  if (typeName(options) !== "Object") {
    throw invalid(`createWatchStore takes an object of options, not ${typeName(options)}`);
  }
  for (const name of TICKETS) {
    if (name in options) throw invalid(`there is no option ${name}: give mintTicket`);
  }
  const { compareRecords, logger, mintTicket, sender, showDeleted = false, ...wire } = options;
  checkText(wire.url, "url");
  if (typeof showDeleted !== "boolean") {
    throw invalid(`showDeleted is ${typeName(showDeleted)}, it must be a boolean`);
  }
  if (wire.cache instanceof Object) {
    throw new WatchError("unsupported", "cache: Rust has one, give true");
  }
  checkMembers("where", wire.where);
  checkMembers("sort", wire.sort, "order");
  return plain({ ...wire, ...tickets(mintTicket), ...wireSender(sender) }) as WatchOptions;
}

/** What two stores of a page have in common that show the same list, however they reach it. */
export function watchKey(options: WatchOptions): string {
  const { transport, ticket, mint, minter, ticketIn, reconnect, idleTimeout, pollInterval, sender, ...list } =
    options;
  return JSON.stringify(Object.entries(list).sort());
}

/** What is undefined would be left out: a filter of it would let everything through. */
function checkMembers(option: string, members: object | undefined, ...optional: string[]): void {
  for (const [name, value] of Object.entries(members ?? {})) {
    if (value !== undefined || optional.includes(name)) continue;
    throw invalid(`${option}: ${JSON.stringify(name)} is undefined`);
  }
}

function tickets(mintTicket: unknown): object {
  if (mintTicket === undefined) return {};
  if (typeof mintTicket === "string") return { ticket: mintTicket };
  if (typeof mintTicket === "function") return { mint: true };
  const minter = (mintTicket as { minter?: unknown } | null)?.minter;
  if (typeof minter === "string") return { minter };
  throw invalid("mintTicket: no string, function or { minter }");
}

function wireSender(sender: unknown): { sender?: WireSender } {
  if (sender === undefined) return {};
  if (typeof sender === "function") return { sender: "page" };
  const name = (sender as { sender?: unknown } | null)?.sender;
  if (typeof name === "string") return { sender: { sender: name } };
  throw invalid("sender: no function or { sender }");
}
