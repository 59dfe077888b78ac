import { WatchError } from "tauri-plugin-contrail-sync-api";
import { describe, expect, test } from "vitest";
import { accessLost, follow, type Messages, NOTHING, without } from "./snapshot.js";

const records = [{ rkey: "m1" }] as unknown as Messages["records"];
const live: Messages = { ...NOTHING, records, status: "live" };

describe("a store over another transport", () => {
  test.each(["idle", "connecting", "snapshot", "reconnecting"] as const)(
    "leaves the messages on screen while it is %s and has none",
    (status) => {
      expect(follow(live, { ...NOTHING, status })).toEqual({ ...NOTHING, records, status });
    },
  );

  test.each(["live", "closed"] as const)("shows that there are none once it is %s", (status) => {
    expect(follow(live, { ...NOTHING, status }).records).toEqual([]);
  });

  test("shows its own messages as soon as it has some", () => {
    const own = [{ rkey: "m2" }] as unknown as Messages["records"];
    expect(follow(live, { ...NOTHING, records: own, status: "snapshot" }).records).toBe(own);
  });
});

describe("what was just written", () => {
  const message = (uri: string, optimistic?: string) => ({
    uri,
    optimistic,
    time_us: uri.charCodeAt(0),
  });
  const list = (status: Messages["status"], ...records: unknown[]) =>
    ({ ...NOTHING, records, status }) as unknown as Messages;
  const [a, b, c] = [message("a"), message("b", "failed"), message("c", "pending")];

  test("shows above the messages that stay on screen, or in its own place among them", () => {
    const again = message("b", "pending");
    expect(follow(list("live", b, a), list("connecting", c, again))).toEqual(list("connecting", c, again, a));
  });

  test("goes with the rest when the watch is over", () => {
    expect(follow(list("live", c, a), list("closed")).records).toEqual([]);
  });

  test("is nothing but what the store says once that is live", () => {
    const next = list("live", c);
    expect(follow(list("connecting", c, a), next)).toBe(next);
  });

  test("is gone at once when it is discarded", () => {
    expect(without(list("connecting", b, a), b as never)).toEqual(list("connecting", a));
  });
});

describe("access is lost", () => {
  const closed = (kind: string): Messages => ({
    ...NOTHING,
    status: "closed",
    error: new WatchError(kind, "no member"),
  });

  test.each(["access-lost", "forbidden", "not-found"])("when the watch is closed as %s", (kind) => {
    expect(accessLost(closed(kind))).toBe(true);
  });

  test("not when it is closed for another reason, or tried again", () => {
    expect(accessLost(closed("not-allowed"))).toBe(false);
    expect(accessLost({ ...closed("forbidden"), status: "reconnecting" })).toBe(false);
    expect(accessLost({ ...NOTHING, status: "closed" })).toBe(false);
  });
});
