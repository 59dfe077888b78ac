import { toWatchError } from "./error.js";

/** What looks like a ticket or a token. */
const TICKETS = /[\w-]{12,}(\.[\w-]{12,})+|(ticket|token|secret)=[^&\s]+/gi;

/** What Rust is told: the ticket, or `null` for what is no ticket; or why there is none. */
export type MintAnswer = { ticket: string | null } | { error: string };

/** Longest error text that is passed on. */
const MAX_ERROR_CHARS = 300;

/** Calls the app's function and waits for its result. It may throw, reject or answer anything; this never rejects. */
export async function answerMint(mint: unknown): Promise<MintAnswer> {
  try {
    const ticket = await (mint as () => unknown)();
    return { ticket: typeof ticket === "string" ? ticket : null };
  } catch (reason) {
    let error = "mintTicket failed";
    try {
      error += `: ${toWatchError(reason).message.replace(TICKETS, "…")}`;
    } catch {
      // What was thrown has no text.
    }
    return { error: error.slice(0, MAX_ERROR_CHARS) };
  }
}
