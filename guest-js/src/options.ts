import type { WatchOptions } from "./bindings/WatchOptions.js";
import { invalid, WatchError } from "./error.js";
import { plain } from "./plain.js";
import type { WatchStoreOptions } from "./types.js";

/**
 * What Rust gets of a store's options: all but those that live in the page. Options that nobody knows, or of the wrong
 * type, go along, so that Rust refuses them by name.
 *
 * @throws WatchError `unsupported` or `invalid-options`
 */
export function wireOptions(options: WatchStoreOptions<never>): WatchOptions {
  const { compareRecords, logger, mintTicket, ...wire } = options;
  if (wire.cache instanceof Object) {
    throw new WatchError("unsupported", "cache: Rust has one, give true");
  }
  return plain({ ...wire, ...tickets(mintTicket) }) as WatchOptions;
}

function tickets(mintTicket: unknown): object {
  if (mintTicket === undefined) return {};
  if (typeof mintTicket === "string") return { ticket: mintTicket };
  if (typeof mintTicket === "function") return { mint: true };
  const minter = (mintTicket as { minter?: unknown } | null)?.minter;
  if (typeof minter === "string") return { minter };
  throw invalid("mintTicket: no string, function or { minter }");
}
