import type { OptimisticRecord } from "./types.js";

/** A change that shows before the server confirms it. */
export type Edit =
  | { op: "add"; record: OptimisticRecord<unknown> }
  | { op: "fail"; rkey: string; did: string | undefined; error: unknown }
  | { op: "remove"; rkey: string; did: string | undefined };

/** Edits of a store that may wait: for the watch to be open, or for the edit before them. */
export const MAX_EDITS = 1000;

/** What anybody may throw, as a name and a message, both cut. What is no error, nor like one, is its own message. */
export function failure(err: unknown): { name: string; message: string } {
  const like = (err ?? {}) as { name?: unknown; message?: unknown };
  const { name = "Error", message = err ?? "" } = like;
  return { name: cut(name, 100), message: cut(message, 1000) };
}

/** The first characters of a text, none of them half. */
function cut(text: unknown, chars: number): string {
  return [...String(text)].slice(0, chars).join("");
}
