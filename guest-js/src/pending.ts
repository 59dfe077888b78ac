import { equal } from "./identity.js";
import type { WireRecord } from "./record.js";
import type { WriteState } from "./wire-writes.js";
import type { PendingWrite } from "./writing.js";

/** What each state means: whether the server has taken the write, and whether it has left the queue. */
const STATES: Readonly<Record<WriteState, { taken?: true; gone?: true }>> = {
  queued: {},
  sending: {},
  sent: { taken: true },
  unconfirmed: { taken: true },
  confirmed: { taken: true, gone: true },
  failed: {},
  discarded: { gone: true },
};

/** Whether the server has taken a write in this state. */
export function isTaken(state: WriteState): boolean {
  return STATES[state].taken === true;
}

/** Whether a write in this state has left the queue, for good. */
export function isGone(state: WriteState): boolean {
  return STATES[state].gone === true;
}

/** What Rust told of a write; nothing for what is none, or one in a state that nobody knows. */
export function readWrite(given: unknown): PendingWrite | undefined {
  const { id, uri, did, collection, rkey, space, action, state, error, attempts, queuedAt } = (given ??
    {}) as Record<string, unknown>;
  const isWrite =
    typeof id === "number" &&
    [uri, did, collection, rkey].every((it) => typeof it === "string") &&
    (action === "put" || action === "delete") &&
    Object.keys(STATES).includes(state as string);
  if (!isWrite) return undefined;
  return {
    ...({ id, uri, did, collection, rkey, action, state } as Pick<PendingWrite, "id" | "uri" | "did">),
    ...(typeof space === "string" && { space }),
    error: readFailure(error),
    attempts: Number(attempts) || 0,
    queuedAt: Number(queuedAt) || 0,
  } as PendingWrite;
}

/** The list of writes that Rust told, without what is none. Not a list: nothing. */
export function readWrites(given: unknown): PendingWrite[] | undefined {
  if (!Array.isArray(given)) return undefined;
  return given.map(readWrite).filter((it): it is PendingWrite => it !== undefined);
}

/** What a record shows of the write that it waits for. How often that was sent it does not say. */
export function ofRecord(record: WireRecord, id: number): PendingWrite {
  const { uri, did, collection, rkey, optimistic, optimisticError, deleted } = record;
  const { name, message } = optimisticError ?? { name: "", message: "" };
  const hasFailed = optimistic === "failed";
  return {
    ...{ id, uri, did, collection, rkey },
    action: deleted ? "delete" : "put",
    state: hasFailed ? "failed" : "queued",
    error: hasFailed ? { kind: name, message } : null,
    attempts: Infinity,
    queuedAt: 0,
  };
}

/** `next` with the objects of `old` where they say the same. */
export function renewed(old: PendingWrite | undefined, next: PendingWrite): PendingWrite {
  if (!old) return next;
  if (equal(old, next)) return old;
  return equal(old.error, next.error) ? { ...next, error: old.error } : next;
}

function readFailure(given: unknown): PendingWrite["error"] {
  if (!(given instanceof Object)) return null;
  const { kind, message } = given as Record<string, unknown>;
  return {
    kind: typeof kind === "string" ? kind : "internal",
    message: typeof message === "string" ? message : "",
  };
}
