import type { InspectedWatch } from "../bindings/InspectedWatch.js";
import type { TicketStanding } from "../bindings/TicketStanding.js";

/** What the ways to be told are called. */
const CARRIERS: ReadonlyMap<string, string> = new Map([
  ["sse", "SSE"],
  ["ws", "WebSocket"],
  ["poll", "Lists"],
]);

/** What a way to be told is called. */
export function wayOf(carrier: string): string {
  return CARRIERS.get(carrier) ?? carrier;
}

/** A number as people read it. */
export function count(number: number): string {
  return number.toLocaleString("en");
}

/** So many of something. */
export function of(number: number, one: string, many = `${one}s`): string {
  return `${count(number)} ${number === 1 ? one : many}`;
}

/** Bytes in a unit that leaves few digits. */
export function bytes(number: number): string {
  const units = ["B", "KiB", "MiB", "GiB"];
  let unit = 0;
  while (number >= 1024 && unit < units.length - 1) {
    number /= 1024;
    unit += 1;
  }
  return `${unit === 0 || number >= 100 ? Math.round(number) : number.toFixed(1)} ${units[unit]}`;
}

/** How long something is, in milliseconds. */
export function span(ms: number): string {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

/** How long ago something was. What is younger than a second would only flicker. */
export function ago(at: number, now: number): string {
  return now - at < 1000 ? "just now" : `${span(now - at)} ago`;
}

/** Events per second, with as many digits as mean something. */
export function rate(perSecond: number): string {
  return perSecond === 0 || perSecond >= 10 ? count(Math.round(perSecond)) : perSecond.toFixed(1);
}

/** The time of day, to the millisecond. */
export function clock(at: number): string {
  const date = new Date(at);
  const two = (number: number) => String(number).padStart(2, "0");
  const [h, m, s] = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two);
  return `${h}:${m}:${s}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

/** What a watch is called. */
export function title(watch: InspectedWatch): string {
  return watch.collection ?? watch.url.split("/").pop() ?? watch.url;
}

/** Whose records it has: the end of the space's or actor's name, or everybody's. */
export function whose(watch: InspectedWatch): string {
  if (watch.space !== null) return watch.space.split("/").pop() ?? "";
  return watch.actor ?? "everybody";
}

/** What it is connected over, and what it was asked to use where that is something else. */
export function carrier(watch: InspectedWatch): string {
  const used = watch.carrier === null ? "" : wayOf(watch.carrier);
  if (watch.transport !== "auto") return used || wayOf(watch.transport);
  return used ? `auto → ${used}` : "auto";
}

/** How it stands with the ticket. */
export function ticket({ state, expiresAt }: TicketStanding, now: number): string {
  if (expiresAt === null) return state;
  return expiresAt > now
    ? `${state}, ${span(expiresAt - now)} left`
    : `${state}, over ${ago(expiresAt, now)}`;
}
