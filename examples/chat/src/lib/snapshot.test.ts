import { WatchError } from "tauri-plugin-contrail-sync-api";
import { describe, expect, test } from "vitest";
import { accessLost, follow, type Messages, NOTHING, without } from "./snapshot.js";

const records = [{ rkey: "m1" }] as unknown as Messages["records"];
const live: Messages = { records, status: "live", error: null };

describe("a store over another transport", () => {
  test.each(["idle", "connecting", "snapshot", "reconnecting"] as const)(
    "leaves the messages on screen while it is %s and has none",
    (status) => {
      expect(follow(live, { ...NOTHING, status })).toEqual({ records, status, error: null });
    },
  );

  test.each(["live", "closed"] as const)("shows that there are none once it is %s", (status) => {
    expect(follow(live, { ...NOTHING, status }).records).toEqual([]);
  });

  test("shows its own messages as soon as it has some", () => {
    const own = [{ rkey: "m2" }] as unknown as Messages["records"];
    expect(follow(live, { records: own, status: "snapshot", error: null }).records).toBe(own);
  });
});

describe("what was just written", () => {
  const message = (uri: string, optimistic?: string) => ({ uri, optimistic });
  const list = (status: Messages["status"], ...records: unknown[]) =>
    ({ records, status, error: null }) as unknown as Messages;

  test("shows above the messages that stay on screen, or in its own place among them", () => {
    const shown = list("live", message("b", "failed"), message("a"));
    const next = list("connecting", message("c", "pending"), message("b", "pending"));
    const merged = [message("c", "pending"), message("b", "pending"), message("a")];
    expect(follow(shown, next)).toEqual(list("connecting", ...merged));
  });

  test("is nothing but what the store says once that is live", () => {
    const next = list("live", message("c", "pending"));
    expect(follow(list("connecting", message("c", "pending"), message("a")), next)).toBe(next);
  });

  test("is gone at once when it is discarded", () => {
    const [b, a] = [message("b", "failed"), message("a")];
    expect(without(list("connecting", b, a), b as never)).toEqual(list("connecting", a));
  });
});

describe("access is lost", () => {
  const closed = (kind: string): Messages => ({
    records: [],
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
