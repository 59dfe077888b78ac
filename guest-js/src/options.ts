import type { WatchOptions } from "./bindings/WatchOptions.js";
import { WatchError } from "./error.js";
import type { WatchStoreOptions } from "./types.js";

/**
 * What Rust gets of a store's options: all but those that live in the page. Options that nobody knows go along, so
 * that Rust refuses them by name.
 *
 * @throws WatchError `unsupported` or `invalid-options`
 */
export function wireOptions(options: WatchStoreOptions<never>): WatchOptions {
  const { cache, cacheKey, cacheMaxRecords, compareRecords, logger, mintTicket, ...wire } = options;
  if (cache === true) {
    throw new WatchError(
      "unsupported",
      "cache: true needs the SQLite cache, which this version does not have yet",
    );
  }
  if (cache) {
    throw new WatchError(
      "unsupported",
      "cache: an adapter cannot be used, because records are cached in Rust and never pass through the page's storage",
    );
  }
  if (mintTicket !== undefined && typeof mintTicket !== "string") {
    const given = typeof mintTicket === "function" ? "a function" : "a named minter";
    throw new WatchError("unsupported", `mintTicket: ${given} is not supported yet, only a string`);
  }
  for (const [name, value] of Object.entries(wire)) {
    // It would silently vanish on its way to Rust.
    if (typeof value === "function") {
      throw new WatchError(
        "invalid-options",
        `${name}: unknown option, and a function cannot be passed on to Rust`,
      );
    }
  }
  return mintTicket === undefined ? wire : { ...wire, ticket: mintTicket };
}
