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
    return { error: textOf(reason) };
  }
}

/** The message of what anybody may throw, at most so many characters of it; `""` for what has no text. */
export function textOf(reason: unknown, chars = Infinity): string {
  try {
    return whole(toWatchError(reason).message.slice(0, chars));
  } catch {
    return "";
  }
}
