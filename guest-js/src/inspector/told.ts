import type { InspectedWatch } from "../bindings/InspectedWatch.js";
import type { Inspection } from "../bindings/Inspection.js";
import { WatchError } from "../error.js";

// The plugin may be of another version than this page: what it leaves out, or tells in another shape, is as if it had nothing
// to tell.

/** What each member is: its value where the plugin tells none of that type. Of a list it is an element. */
interface Shape {
  readonly [name: string]: "" | 0 | false | Maybe | Shape | readonly [Shape | ""];
}

/** A text or a number that there need not be, or an object. */
type Maybe = "text?" | "number?" | readonly ["object?", Shape];

const MOMENT = { at: 0, kind: "", words: "" } as const;

const WATCH = {
  ...{ id: 0, url: "", status: "", transport: "", seen: false, windows: [""], bounds: [""] },
  ...{
    namespace: "text?",
    collection: "text?",
    space: "text?",
    actor: "text?",
    account: "text?",
    carrier: "text?",
  },
  ...{ followers: 0, records: 0, bytes: 0, events: 0, bytesReceived: 0, connects: 0, reconnects: 0 },
  ...{
    compared: 0,
    mended: 0,
    leftOut: 0,
    latencyMs: "number?",
    heardAt: "number?",
    waitingWrites: "number?",
  },
  fallbacks: [{ from: "", to: "", why: "" }],
  timeline: [MOMENT],
  ticket: { state: "", expiresAt: "number?" },
  error: ["object?", { kind: "", message: "" }],
  poll: ["object?", { intervalMs: 0, lists: 0, position: "text?" }],
  cache: ["object?", { key: "", rows: "number?", savedAt: "number?" }],
} as const satisfies Record<keyof InspectedWatch, Shape[string]>;

const INSPECTION: Shape = {
  ...{ now: 0, offline: false, unanswered: 0, watches: [WATCH] },
  counters: { connects: 0, mended: 0 },
  log: { last: 0, missed: 0, lines: [{ ...MOMENT, seq: 0, watch: 0 }] },
};

/**
 * What `inspect_watches` answered.
 *
 * @throws WatchError `internal` for what is no answer to that
 */
export function readInspection(given: unknown): Inspection {
  if (isObject(given) && Array.isArray(given["watches"]) && isObject(given["log"])) {
    return read(given, INSPECTION) as unknown as Inspection;
  }
  throw new WatchError("internal", "the answer of inspect_watches cannot be read");
}

function read(given: unknown, shape: Shape): Record<string, unknown> {
  const from = isObject(given) ? given : {};
  return Object.fromEntries(Object.entries(shape).map(([name, it]) => [name, member(from[name], it)]));
}

function member(given: unknown, shape: Shape[string]): unknown {
  if (shape === "" || shape === "text?") return typeof given === "string" ? given : shape && null;
  if (shape === 0 || shape === "number?") return Number.isFinite(given) ? given : shape && null;
  if (shape === false) return given === true;
  if (!Array.isArray(shape)) return read(given, shape as Shape);
  if (shape[0] === "object?") return isObject(given) ? read(given, shape[1] as Shape) : null;
  return Array.isArray(given) ? given.map((it) => member(it, shape[0] as Shape)) : [];
}

function isObject(given: unknown): given is Record<string, unknown> {
  return typeof given === "object" && given !== null && !Array.isArray(given);
}
