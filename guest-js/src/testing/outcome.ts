import type { WriteFailure, WriteState } from "../wire-writes.js";

/** What became of an attempt of a page. */
export interface Ended {
  readonly state: WriteState;
  readonly error?: WriteFailure;
  /** The record's new content hash, where the function told it. */
  readonly cid?: string;
}

/** The members of an answer. */
const MEMBERS = ["sent", "cid", "refused", "later", "after"];

/** Reads a page's answer as Rust does: nothing at all says that the write is sent, and what is no outcome fails. */
export function outcomeOf(outcome: unknown, thrown: unknown): Ended {
  if (thrown !== undefined && thrown !== null) {
    const message = `sender failed${thrown === "" ? "" : `: ${String(thrown)}`}`;
    return { state: "queued", error: { kind: "sender-failed", message } };
  }
  if (outcome === undefined || outcome === null) return { state: "sent" };
  const given = typeof outcome === "object" ? Object.entries(outcome) : [];
  const { sent, cid, refused, later, after, ...more } = Object.fromEntries(
    given.filter(([name, value]) => value !== null || !MEMBERS.includes(name)),
  ) as Record<string, unknown>;
  const has = (...members: unknown[]) => members.some((it) => it !== undefined);
  if (!has(...Object.values(more))) {
    const hash = typeof cid === "string" ? cid : undefined;
    if (sent === true && cid === hash && !has(refused, later, after)) {
      return { state: "sent", ...(hash !== undefined && { cid: hash }) };
    }
    if (isFailure(refused) && !has(sent, cid, later, after)) {
      return { state: "failed", error: { kind: refused.kind, message: refused.message } };
    }
    const isTime = after === undefined || typeof after === "number";
    if (later === true && isTime && !has(sent, cid, refused)) {
      const message = "the function given as `sender` wants it sent later";
      return { state: "queued", error: { kind: "later", message } };
    }
  }
  const message = "the function given as `sender` answered something that is no outcome";
  return { state: "failed", error: { kind: "bad-answer", message } };
}

function isFailure(given: unknown): given is WriteFailure {
  const { kind, message } = (given ?? {}) as Record<string, unknown>;
  return typeof kind === "string" && typeof message === "string";
}
