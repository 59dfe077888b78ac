import fc from "fast-check";
import { afterEach, expect, test, vi } from "vitest";
import { Page } from "./testing/page.js";
import { record } from "./testing/records.js";
import { settled } from "./testing/until.js";
import type { WatchRecord } from "./types.js";

const did = "did:plc:alice";

let page: Page | undefined;
afterEach(() => page?.close());

const key = fc.nat(11).map((n) => `r${n}`);
const list = fc.uniqueArray(fc.record({ rkey: key, version: fc.nat(2) }), {
  selector: ({ rkey }) => rkey,
  maxLength: 12,
});
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ op: fc.constant("push" as const), list }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant("add" as const), rkey: key, version: fc.nat(2) }) },
  fc.record({ op: fc.constantFrom("fail" as const, "remove" as const), rkey: key }),
  fc.record({ op: fc.constantFrom("garbage", "page cache", "forget", "end", "restart", "older", "frames") }),
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

/** Fails if a record that did not change is another object than before, or a changed one the same. */
function identityKeeper(): (records: readonly WatchRecord[]) => void {
  let before = new Map<string, { it: WatchRecord; json: string }>();
  return (records) => {
    const now = new Map(records.map((it) => [it.uri, { it, json: JSON.stringify(it) }]));
    expect(now.size).toBe(records.length);
    for (const [uri, { it, json }] of now) {
      const old = before.get(uri);
      if (old) expect(old.it === it, `${uri} ${old.json} → ${json}`).toBe(old.json === json);
    }
    before = now;
  };
}

async function run({ plugin }: Page, store: ReturnType<Page["make"]>, it: Step): Promise<void> {
  if (it.op === "push") {
    await plugin.push({ records: it.list.map(({ rkey, version }) => record(rkey, version)) });
  } else if (it.op === "add") {
    const { value, collection, space } = record(it.rkey, it.version);
    store.addOptimistic({ rkey: it.rkey, did, value: value as never, collection, space });
  } else if (it.op === "fail") store.markFailed(it.rkey, "late");
  else if (it.op === "remove") store.removeOptimistic(it.rkey, did);
  else if (it.op === "garbage") await plugin.send([...plugin.opens.keys()][0] ?? 1, "garbage");
  else if (it.op === "page cache") page!.comeBack();
  else if (it.op === "forget") {
    plugin.forget();
    page!.comeBack();
  } else if (it.op === "end") {
    plugin.end();
    page!.comeBack();
    await vi.waitFor(() => expect(plugin.opens.size).toBe(1), { interval: 1 });
    await settled();
  } else if (it.op === "restart") {
    store.stop();
    store.start();
  } else if (it.op === "older") {
    plugin.older = [record("o1"), record("o2"), record("o3")].filter(
      ({ uri }) => !plugin.records.some((known) => known.uri === uri),
    );
    store.loadMore().catch(() => {});
  } else await settled();
}

test("whatever comes, in parts of any size, the mirror ends with what Rust shows, and no unchanged record changes its object", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 1, maxLength: 15 }),
      fc.constantFrom(1, 2, 3, 5, Infinity),
      async (steps, chunk) => {
        page?.close();
        page = await Page.open();
        const { plugin } = page;
        plugin.chunk = chunk;
        const store = page.make();
        const check = identityKeeper();
        store.subscribe(({ records }) => check(records));
        const thrown: unknown[] = [];
        vi.stubGlobal("reportError", (reason: unknown) => thrown.push(reason));
        store.start();
        for (const it of steps) await run(page, store, it);
        // What was lost on the way is only found by the next delta.
        await vi.waitFor(() => expect(store.status).toBe("live"), { interval: 1 });
        await plugin.caughtUp();
        await settled();
        await plugin.caughtUp();
        expect(thrown).toEqual([]);
        expect(JSON.parse(JSON.stringify(store.records))).toEqual(JSON.parse(JSON.stringify(plugin.shown)));
      },
    ),
    { numRuns: 150 },
  );
}, 60_000);
