import type { MessageRecord } from "./chat.js";
import { type Person, person } from "./people.js";

/** A message as the thread shows it. */
export interface Row {
  key: string;
  record: MessageRecord;
  author: Person;
  text: string;
  time: Date;
  /** Opens a run of messages by one author. */
  first: boolean;
  /** Ends such a run. */
  last: boolean;
  /** The first message of its day. */
  newDay: boolean;
  quote: Quote | null;
  reactions: Reaction[];
  /** Whether the server has it, may get it, or will not. */
  state: "sent" | "pending" | "failed";
  /** Why it failed. */
  reason: string;
  /** Is being deleted, or could not be. */
  deleted: boolean;
  /** Why it failed, if it is that the message was changed meanwhile: the text that it has there, or nothing if it is gone. */
  conflict: { theirs: string | null } | null;
}

/** What a message answers; without an author if it is not to be had any more. */
export interface Quote {
  uri: string;
  author: Person | null;
  text: string;
}

/** All reactions with one emoji. */
export interface Reaction {
  emoji: string;
  count: number;
  names: string;
  mine: boolean;
}

/** Messages of one author closer than this stay together. */
const RUN_MS = 5 * 60_000;

/** The thread, oldest first, of records that come newest first. */
export function thread(records: readonly MessageRecord[], me: string): Row[] {
  const byUri = new Map(records.map((record) => [record.uri, record]));
  const rows: Row[] = [];
  for (const record of records.toReversed()) {
    const time = new Date(writtenAt(record));
    const before = rows.at(-1);
    const newDay = !before || before.time.toDateString() !== time.toDateString();
    const first =
      newDay || before.record.did !== record.did || time.getTime() - before.time.getTime() > RUN_MS;
    if (before) before.last = first;
    rows.push({
      key: `${record.space ?? ""} ${record.uri}`,
      record,
      author: person(record.did),
      text: textOf(record.value),
      time,
      first,
      last: true,
      newDay,
      quote: quote(record, byUri),
      reactions: reactions(record["reactions"], me),
      state: record.optimistic ?? "sent",
      reason: record.optimisticError?.message ?? "",
      deleted: record.deleted === true,
      conflict: conflict(record),
    });
  }
  return rows;
}

/** When a message was written, in Unix milliseconds: as its body says, else as the server does. */
export function writtenAt({ value, time_us }: MessageRecord): number {
  const said = field(value, "createdAt");
  const at = typeof said === "string" ? Date.parse(said) : NaN;
  return Number.isNaN(at) ? time_us / 1000 : at;
}

/** The rows that came in since these keys were seen; those above all that were seen are merely older. */
export function arrivals(rows: readonly Row[], seen: ReadonlySet<string>): Row[] {
  const known = rows.findIndex(({ key }) => seen.has(key));
  return known < 0 ? [] : rows.slice(known).filter(({ key }) => !seen.has(key));
}

/** Everybody who wrote, whoever wrote last first. */
export function people(records: readonly MessageRecord[]): Person[] {
  return [...new Set(records.map((record) => record.did))].map(person);
}

/** The live message if it is in the thread (it may have been edited), else the copy that came with the reply. */
function quote(record: MessageRecord, byUri: Map<string, MessageRecord>): Quote | null {
  const uri = field(field(record.value, "reply"), "uri");
  if (typeof uri !== "string") return null;
  const parent: unknown = byUri.get(uri) ?? record["parent"];
  const did = field(parent, "did");
  if (typeof did !== "string") return { uri, author: null, text: "This message is gone." };
  return { uri, author: person(did), text: textOf(field(parent, "value")) };
}

function conflict({ optimisticError, serverValue }: MessageRecord): Row["conflict"] {
  if (optimisticError?.name !== "conflict") return null;
  return { theirs: serverValue === undefined ? null : textOf(serverValue) };
}

function reactions(children: unknown, me: string): Reaction[] {
  const byEmoji = new Map<string, string[]>();
  for (const child of Array.isArray(children) ? children : []) {
    const emoji = field(field(child, "value"), "emoji");
    const did = field(child, "did");
    if (typeof emoji !== "string" || typeof did !== "string") continue;
    byEmoji.set(emoji, [...(byEmoji.get(emoji) ?? []), did]);
  }
  return [...byEmoji].map(([emoji, dids]) => ({
    emoji,
    count: dids.length,
    names: dids.map((did) => (did === me ? "you" : person(did).name)).join(", "),
    mine: dids.includes(me),
  }));
}

/** Bodies are whatever somebody wrote: a text that is none shows as nothing. */
function textOf(value: unknown): string {
  const text = field(value, "text");
  return typeof text === "string" ? text : "";
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}
