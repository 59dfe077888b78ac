// Writes in the fake go as in Rust: what is merged, who sends it, what shows of it, and when it is over.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { clearTickets, discardWrites } from "./index.js";
import { fakeContrailSync, type FakeContrailSync, type FakeList } from "./testing.js";
import {
  alice,
  bob,
  type Message,
  put,
  record,
  started,
  states,
  texts,
  url,
  writing,
} from "./testing/messages.js";

let appview: FakeContrailSync;
let list: FakeList<Message>;
beforeEach(() => {
  appview = fakeContrailSync();
  list = appview.watch<Message>(url);
});
afterEach(() => appview.restore());

describe("a write that waits", () => {
  test("and was not tried is changed in its place, also into a deletion", async () => {
    const store = writing();
    await list.snapshot([record("1")]);
    await appview.offline();
    const first = await put(store, "9", "a");
    const second = await put(store, "9", "b");
    expect(second).toBe(first);
    expect(appview.writes).toMatchObject([{ id: first.id, action: "put", value: { text: "b" } }]);
    await appview.settled();
    expect(texts(store)).toEqual(["b", "1"]);
    await store.delete("9");
    await appview.settled();
    expect(await states()).toEqual([`${first.id} queued`]);
    expect(appview.writes[0]).toMatchObject({ action: "delete" });
    expect(texts(store)).toEqual(["1"]);
  });

  test("and was tried is left as it is: the next one waits behind it, and is what there is to wait for", async () => {
    const store = writing();
    await list.snapshot([record("1")]);
    const first = await put(store, "9", "a");
    await appview.writes[0]!.sending();
    await appview.writes[0]!.later();
    const second = await put(store, "9", "b");
    expect(second.id).not.toBe(first.id);
    await appview.writes[0]!.sent();
    expect(first.state).toBe("confirmed");
    expect(await states()).toEqual([`${second.id} queued`]);
    await first.done;
  });

  test("by another sender is no other form of it", async () => {
    const [one, other] = [writing(), writing({ sender: { sender: "other" } })];
    await list.snapshot([record("1")]);
    await put(one, "9", "a");
    await put(other, "9", "b");
    expect(appview.writes.map(({ value }) => value)).toEqual([{ text: "a" }, { text: "b" }]);
  });

  test("is sent at once if it is tried again, as one that has failed", async () => {
    const sender = vi.fn().mockRejectedValueOnce(new Error("busy"));
    const store = writing({ sender });
    await list.snapshot([record("1")]);
    const write = await put(store, "9", "a");
    await appview.settled();
    expect(write).toMatchObject({ state: "queued", error: { kind: "sender-failed" } });
    await write.retry();
    expect(sender).toHaveBeenCalledTimes(2);
  });

  test("waits through a logout, until a watch of its account is opened again", async () => {
    const sender = vi.fn();
    const store = writing({ sender });
    await list.snapshot([record("1")]);
    await clearTickets();
    await put(store, "9", "a");
    await appview.settled();
    expect(sender).not.toHaveBeenCalled();
    store.stop();
    store.start();
    await appview.settled();
    expect(sender).toHaveBeenCalledOnce();
  });
});

describe("a sender of the page", () => {
  test("gets the version that was changed, whatever the list has by then", async () => {
    const sender = vi.fn();
    const store = writing({ sender });
    await list.snapshot([record("1")]);
    const swap = store.records[0]!.cid;
    await appview.offline();
    await put(store, "1", "mine");
    await list.update({ rkey: "1", value: { text: "theirs" } });
    await appview.online();
    expect(sender.mock.lastCall![0]).toMatchObject({ swap });
    expect(list.records[0]!.cid).not.toBe(swap);
  });

  test("takes the place of whatever is there after a conflict, if the user says so", async () => {
    const refused = { kind: "conflict", message: "somebody was faster" };
    const sender = vi.fn().mockReturnValueOnce({ refused });
    const store = writing({ sender });
    await list.snapshot([record("1")]);
    const write = await put(store, "1", "mine");
    await expect(write.done).rejects.toMatchObject(refused);
    await appview.settled();
    expect(store.records[0]).toMatchObject({ optimistic: "failed", serverValue: { text: "1" } });
    await write.retry();
    await appview.settled();
    expect(sender.mock.lastCall![0]).not.toHaveProperty("swap");
    expect(store.records[0]).toMatchObject({ optimistic: "pending", value: { text: "mine" } });
    expect(store.records[0]).not.toHaveProperty("serverValue");
  });

  test.each([
    [{}],
    [null],
    ["sent"],
    [{ sent: false }],
    [{ refused: "no" }],
    [{ later: true, after: "soon" }],
  ])("that answers %j has answered nothing that is an outcome", async (answer) => {
    const store = writing({ sender: (() => answer) as never });
    await list.snapshot([record("1")]);
    const write = await put(store, "9", "a");
    await expect(write.done).rejects.toMatchObject({ kind: "bad-answer" });
  });

  test("is the one of the store that came last, of those of the account", async () => {
    const [first, last, theirs] = [vi.fn(), vi.fn(), vi.fn()];
    const store = writing({ sender: first });
    writing({ sender: last, sort: { by: "rkey" } });
    writing({ sender: theirs, account: bob });
    await list.snapshot([record("1")]);
    await put(store, "9", "a");
    await appview.settled();
    expect([first, last, theirs].map((it) => it.mock.calls.length)).toEqual([0, 1, 0]);
  });
});

describe("what a write shows", () => {
  test("shows in all stores of its account and query, and in no others", async () => {
    const [store, sorted, theirs, nobodys] = [
      writing(),
      writing({ sort: { by: "rkey" } }),
      writing({ account: bob }),
      started(),
    ];
    await list.snapshot([record("1")]);
    await put(store, "1", "edited");
    await put(store, "9", "new");
    await appview.settled();
    expect([store, sorted, theirs, nobodys].map(texts)).toEqual([
      ["new", "edited"],
      ["new", "edited"],
      ["1"],
      ["1"],
    ]);
  });

  test("stays where the record is, with what the query hydrates", async () => {
    const store = writing();
    await list.snapshot([record("1"), { ...record("2"), reactionsCount: 3 }]);
    const { cid, time_us } = store.records[1]!;
    await put(store, "2", "edited");
    await appview.settled();
    expect(store.records[1]).toMatchObject({ value: { text: "edited" }, reactionsCount: 3, cid, time_us });
    await list.update({ ...record("2"), reactionsCount: 4 });
    expect(store.records[0]).toMatchObject({ value: { text: "edited" }, reactionsCount: 4 });
    await appview.writes[0]!.confirm();
    expect(store.records[0]).toMatchObject({ value: { text: "edited" }, reactionsCount: 4 });
  });

  test("is failed as long as one of its record's writes is, with the newest body", async () => {
    const store = writing();
    await list.snapshot([record("1")]);
    const first = await put(store, "9", "a");
    await appview.writes[0]!.refuse({ kind: "no", message: "not so" });
    await put(store, "9", "b");
    await appview.settled();
    expect(store.records[0]).toMatchObject({ value: { text: "b" }, optimistic: "failed", write: first.id });
  });

  test("is over once the list has it, or what somebody has made of it since", async () => {
    const store = writing();
    await list.snapshot([record("1"), record("2")]);
    const [edit, made] = [await put(store, "1", "mine"), await put(store, "9", "as I wrote it")];
    for (const write of appview.writes) await write.sent();
    expect([edit.state, made.state]).toEqual(["sent", "sent"]);
    await list.update({ rkey: "2", value: { text: "2!" } });
    expect([edit.state, made.state]).toEqual(["sent", "sent"]);
    await list.update({ rkey: "1", value: { text: "theirs" } });
    await list.create({ rkey: "9", value: { text: "as the server spells it" } });
    await vi.waitFor(() => expect([edit.state, made.state]).toEqual(["confirmed", "confirmed"]));
    expect(texts(store)).toEqual(["as the server spells it", "theirs", "2!"]);
  });
});

describe("a write that is taken back", () => {
  test("while it is on its way is so once that comes to nothing", async () => {
    const store = writing();
    await list.snapshot([record("1")]);
    const write = await put(store, "9", "a");
    await appview.writes[0]!.sending();
    const discarded = write.discard();
    await appview.settled();
    expect(write.state).toBe("sending");
    await appview.writes[0]!.later();
    await discarded;
    expect(write.state).toBe("discarded");
    expect(texts(store)).toEqual(["1"]);
  });

  test("counts, and what the server has by then does not", async () => {
    const store = writing();
    await list.snapshot([record("1")]);
    for (const rkey of ["7", "8", "9"]) await put(store, rkey, rkey);
    await appview.writes[0]!.sent();
    await appview.writes[1]!.sending();
    expect(await discardWrites({ account: alice })).toBe(2);
    expect((await states()).map((it) => it.split(" ")[1])).toEqual(["sent", "sending"]);
  });

  test("goes with the access to its list, and says why", async () => {
    const [store, other] = [writing(), writing({ url: "/xrpc/com.example.message.listRecords" })];
    await list.snapshot([record("1")]);
    await appview.watch("/xrpc/com.example.message.listRecords").snapshot([record("1")]);
    const [lost, kept] = [await put(store, "9", "a"), await put(other, "8", "b")];
    await list.fail({ kind: "access-lost", message: "you were kicked" });
    await expect(lost.done).rejects.toMatchObject({ kind: "access-lost" });
    expect(await states()).toEqual([`${kept.id} queued`]);
  });

  test("is over for the test, too", async () => {
    const store = writing();
    await list.snapshot([record("1")]);
    const write = await put(store, "9", "a");
    const [waiting] = appview.writes;
    await write.discard();
    expect(() => waiting!.confirm()).toThrow("is discarded already");
  });
});
