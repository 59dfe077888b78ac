import { toWatchError } from "./error.js";
import { plain, whole } from "./plain.js";

/** What Rust is told: the ticket, or `null` for what is no ticket; or why there is none, `""` for no reason. */
export type MintAnswer = { ticket: string | null } | { error: string };

/** Calls the app's function and waits for its result. It may throw, reject or answer anything; this never rejects. */
export async function answerMint(mint: unknown): Promise<MintAnswer> {
  try {
    const ticket = await (mint as () => unknown)();
    return { ticket: typeof ticket === "string" ? plain(ticket, "mintTicket") : null };
  } catch (reason) {
    try {
      return { error: whole(toWatchError(reason).message) };
    } catch {
      // What was thrown has no text.
      return { error: "" };
    }
  }
}
