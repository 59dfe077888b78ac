import { toWatchError } from "./error.js";

/** An app's own function that gets a ticket. It may throw, reject or answer anything. */
export type Mint = () => unknown;

/** What Rust is told: the ticket, or why there is none. */
export type MintAnswer = { ticket: string } | { error: string };

/** Longest error text that is passed on. */
const MAX_ERROR_CHARS = 300;

/** Calls the app's function and waits for its result. Never rejects. */
export async function answerMint(mint: Mint | undefined): Promise<MintAnswer> {
  try {
    const ticket = await mint?.();
    // The value itself stays out of the text: it may hold a ticket somewhere inside.
    return typeof ticket === "string"
      ? { ticket }
      : { error: `mintTicket gave ${typeName(ticket)} instead of a string` };
  } catch (reason) {
    return { error: `mintTicket failed: ${reasonText(reason)}` };
  }
}

/** A value's type as people say it. */
export function typeName(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  return Array.isArray(value) ? "an array" : `${typeof value === "object" ? "an" : "a"} ${typeof value}`;
}

/** The text of what was thrown, without anything that looks like a ticket or a token. */
function reasonText(reason: unknown): string {
  try {
    return toWatchError(reason)
      .message.replace(/[\w-]{12,}(\.[\w-]{12,})+/g, "…")
      .replace(/((?:ticket|token|secret)=)[^&\s]+/gi, "$1…")
      .slice(0, MAX_ERROR_CHARS);
  } catch {
    return "it threw something without a text";
  }
}
