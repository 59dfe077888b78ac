import { textOf } from "./mint.js";
import { plain } from "./plain.js";

/** What Rust is told: what the function gave, nothing if it gave nothing; or why it did not, `""` for no reason. */
export type SendAnswer = { outcome?: unknown } | { error: string };

/** Characters of a thrown error's message that Rust is told. */
const MAX_CHARS = 1000;

/** Calls the app's function and waits for its result. It may throw, reject or answer anything; this never rejects. */
export async function answerSend(send: unknown, write: object): Promise<SendAnswer> {
  let outcome: unknown;
  try {
    outcome = await (send as (write: object) => unknown)(write);
  } catch (reason) {
    return { error: textOf(reason, MAX_CHARS) };
  }
  if (outcome === undefined) return {};
  // To Rust `null` may be nothing, which says that it was sent. A text is no outcome, whatever it says.
  if (outcome === null) return { outcome: "null" };
  try {
    return { outcome: plain(outcome, "sender") };
  } catch (reason) {
    return { outcome: textOf(reason, MAX_CHARS) };
  }
}
