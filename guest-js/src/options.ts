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
  const { cache, compareRecords, logger, mintTicket, ...wire } = options;
  for (const [name, value] of Object.entries(wire)) {
    // It would silently vanish on its way to Rust.
    if (typeof value === "function") {
      throw new WatchError(
        "invalid-options",
        `${name}: unknown option, and a function cannot be passed on to Rust`,
      );
    }
    // It would arrive as null and mean the default.
    if (typeof value === "number" && !Number.isFinite(value)) {
      throw new WatchError("invalid-options", `${name}: it is ${value}, it must be finite`);
    }
  }
  for (const name of ["ticket", "mint", "minter"]) {
    if (name in wire) throw new WatchError("invalid-options", `${name}: give it as mintTicket`);
  }
  return { ...wire, ...caching(cache), ...tickets(mintTicket) };
}

/** The function that mints for this store, if it is one. */
export function mintOf({ mintTicket }: WatchStoreOptions<never>): Mint | undefined {
  return typeof mintTicket === "function" ? mintTicket : undefined;
}

/** Left out, it is for Rust to decide: yes, unless the app has no cache. */
function caching(cache: unknown): Pick<WatchOptions, "cache"> {
  if (cache === undefined) return {};
  if (typeof cache === "boolean") return { cache };
  if (typeof cache === "object" && cache !== null) {
    throw new WatchError(
      "unsupported",
      "cache: an adapter cannot be used, because records are cached in Rust, not by the page; give true instead",
    );
  }
  throw new WatchError("invalid-options", `cache: it is ${typeName(cache)}, it may be true or false`);
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
