import type { InspectedWatch } from "../bindings/InspectedWatch.js";
import { ago, bytes, carrier, count, of, span, ticket, wayOf } from "./words.js";

/** A figure of a watch: what it is called, and what it says; nothing where it has none. */
export type Fact = [label: string, words: string | undefined, title?: string | undefined];

/** All figures of a watch, in groups. */
export function facts(watch: InspectedWatch, now: number): [group: string, facts: Fact[]][] {
  return [
    ["Connection", connection(watch, now)],
    ["Records", records(watch)],
    ["More", more(watch, now)],
  ];
}

function connection(watch: InspectedWatch, now: number): Fact[] {
  const poll = watch.poll;
  return [
    ["Status", watch.status],
    ["Transport", carrier(watch)],
    ["Latency", watch.latencyMs === null ? "–" : span(watch.latencyMs), "From asking to a connection"],
    ["Last word", watch.heardAt === null ? "–" : ago(watch.heardAt, now)],
    [
      "Connects",
      watch.reconnects > 0
        ? `${count(watch.connects)}, ${count(watch.reconnects)} again`
        : count(watch.connects),
    ],
    ["Polls every", poll ? span(poll.intervalMs) : undefined],
    ["Position", poll?.position ?? undefined],
    ["Lists", poll ? count(poll.lists) : undefined],
  ];
}

function records(watch: InspectedWatch): Fact[] {
  const leftOut = watch.leftOut > 0 ? count(watch.leftOut) : undefined;
  return [
    ["Shown", count(watch.records)],
    ["Held", bytes(watch.bytes)],
    ["Events", count(watch.events)],
    ["Received", bytes(watch.bytesReceived)],
    ["Compared", watch.poll ? undefined : of(watch.compared, "time"), "Quiet snapshots"],
    ["Mended", watch.poll ? undefined : of(watch.mended, "time"), "Quiet snapshots that told something new"],
    ["Left out", leftOut, watch.bounds.join("; ")],
  ];
}

/** What `auto` left for something else, and why. */
function fellBack({ fallbacks }: InspectedWatch): string | undefined {
  const words = fallbacks.map(({ from, to, why }) => `${wayOf(from)} → ${wayOf(to)}: ${why}`);
  return words.join("; ") || undefined;
}

function more(watch: InspectedWatch, now: number): Fact[] {
  const others = watch.followers - watch.windows.length;
  const windows = watch.windows.join(", ");
  const { cache } = watch;
  return [
    ["Fell back", fellBack(watch)],
    ["Account", watch.account ?? "–"],
    ["Space", watch.space ?? undefined],
    ["Actor", watch.actor ?? undefined],
    [
      "Followers",
      others > 0 && windows ? `${windows}, ${count(others)} more` : windows || count(watch.followers),
    ],
    ["Ticket", ticket(watch.ticket, now)],
    ["Cache", cache ? cached(cache, now) : "off", cache ? `Key ${cache.key}` : undefined],
    ["Waiting writes", watch.waitingWrites === null ? undefined : count(watch.waitingWrites)],
    ["URL", watch.url],
  ];
}

function cached(cache: NonNullable<InspectedWatch["cache"]>, now: number): string {
  if (cache.rows === null || cache.savedAt === null) return "nothing saved";
  return `${of(cache.rows, "row")}, saved ${ago(cache.savedAt, now)}`;
}
