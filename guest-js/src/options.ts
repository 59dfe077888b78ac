import type { WatchOptions } from "./bindings/WatchOptions.js";
import { WatchError } from "./error.js";
import { type Mint, typeName } from "./mint.js";
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
  for (const [name, value] of Object.entries(wire)) {
    // It would silently vanish on its way to Rust.
    if (typeof value === "function") {
      throw new WatchError(
        "invalid-options",
        `${name}: unknown option, and a function cannot be passed on to Rust`,
      );
    }
  }
  for (const name of ["ticket", "mint", "minter"]) {
    if (name in wire) throw new WatchError("invalid-options", `${name}: give it as mintTicket`);
  }
  return { ...wire, ...tickets(mintTicket) };
}

/** The function that mints for this store, if it is one. */
export function mintOf({ mintTicket }: WatchStoreOptions<never>): Mint | undefined {
  return typeof mintTicket === "function" ? mintTicket : undefined;
}

function tickets(mintTicket: unknown): Pick<WatchOptions, "ticket" | "mint" | "minter"> {
  if (mintTicket === undefined) return {};
  if (typeof mintTicket === "string") return { ticket: mintTicket };
  if (typeof mintTicket === "function") return { mint: true };
  const minter = (mintTicket as { minter?: unknown } | null)?.minter;
  if (typeof minter === "string") return { minter };
  throw new WatchError(
    "invalid-options",
    `mintTicket: it is ${typeName(mintTicket)}, it may be a string, a function or { minter: "its name" }`,
  );
}
