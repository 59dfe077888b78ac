import { clearMocks, mockIPC } from "@tauri-apps/api/mocks";
import type { InspectedWatch } from "../bindings/InspectedWatch.js";
import type { Inspection } from "../bindings/Inspection.js";
import type { LogEntry } from "../bindings/LogEntry.js";

/** When everything here happens. */
export const NOW = Date.UTC(2026, 10, 28, 12);

/** A watch as the plugin tells of it. */
export function inspected(id: number, more: Partial<InspectedWatch> = {}): InspectedWatch {
  return {
    id,
    url: "https://appview.example/xrpc/com.example.message.watchRecords",
    namespace: "com.example",
    collection: "message",
    space: "ats://did:plc:alice/com.example.space/lounge",
    actor: null,
    account: "did:plc:alice",
    status: "live",
    error: null,
    transport: "auto",
    carrier: "sse",
    fallbacks: [],
    followers: 1,
    seen: true,
    records: 41,
    bytes: 12_345,
    events: 100,
    bytesReceived: 54_321,
    latencyMs: 12.5,
    heardAt: NOW - 3000,
    connects: 2,
    reconnects: 1,
    timeline: [{ at: NOW - 5000, kind: "live", words: "41 records" }],
    compared: 3,
    mended: 1,
    leftOut: 0,
    bounds: [],
    poll: null,
    ticket: { state: "held", expiresAt: NOW + 1_800_000 },
    cache: { key: "abc", rows: 40, savedAt: NOW - 2000 },
    waitingWrites: 2,
    windows: ["main"],
    ...more,
  };
}

/** A line of the log. */
export function line(seq: number, words: string, kind = "created"): LogEntry {
  return { seq, at: NOW, watch: 1, kind, words };
}

/** The plugin, as far as the inspector knows it. */
export class FakeInspected {
  watches: InspectedWatch[] = [inspected(1)];
  lines: LogEntry[] = [];
  offline = false;
  /** How many watches are too busy to answer. */
  unanswered = 0;
  /** What `inspect_act` throws, if anything. */
  refusesDeed: unknown;
  now = NOW;
  /** What `inspect_watches` throws, if anything. */
  refuses: unknown;
  /** What it answers instead of an inspection, if anything. */
  instead: unknown;
  /** Answers come only after this. */
  holds: Promise<void> = Promise.resolve();
  readonly asked: unknown[] = [];
  readonly deeds: unknown[] = [];

  constructor() {
    Object.assign(globalThis, { isTauri: true });
    mockIPC((command, args) => this.#command(command, args as { since: number }));
  }

  static uninstall(): void {
    Object.assign(globalThis, { isTauri: false });
    clearMocks();
  }

  async #command(command: string, args: { since: number }): Promise<unknown> {
    if (command === "plugin:contrail-sync|inspect_act") {
      if (this.refusesDeed) throw this.refusesDeed;
      return void this.deeds.push(args);
    }
    this.asked.push(args);
    await this.holds;
    if (this.refuses) throw this.refuses;
    if (this.instead !== undefined) return this.instead;
    const lines = this.lines.filter(({ seq }) => seq > args.since);
    const told: Inspection = {
      now: this.now,
      offline: this.offline,
      counters: { connects: 2, compared: 3, mended: 1, polled: 0, leftOut: 0 },
      watches: this.watches,
      unanswered: this.unanswered,
      log: { last: this.lines[this.lines.length - 1]?.seq ?? args.since, missed: 0, lines },
    };
    return JSON.parse(JSON.stringify(told));
  }
}
