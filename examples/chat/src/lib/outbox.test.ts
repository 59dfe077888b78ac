import { beforeEach, describe, expect, test, vi } from "vitest";
import type { MessageBody, MessageRecord } from "./chat.js";
import { Outbox } from "./outbox.js";

const ALICE = "did:plc:alice";
const NO_ANSWER = "the appview cannot be reached";

/** A message as the store shows it once it is added. */
const shown = (rkey: string, optimistic?: "pending" | "failed", did = ALICE): MessageRecord => ({
  uri: `at://${did}/com.example.chat.message/${rkey}`,
  cid: null,
  value: { text: rkey },
  did,
  collection: "com.example.chat.message",
  rkey,
  time_us: 1,
  ...(optimistic && { optimistic }),
  ...(optimistic === "failed" && { optimisticError: { name: "Error", message: NO_ANSWER } }),
});

const store = { addOptimistic: vi.fn(), markFailed: vi.fn(), removeOptimistic: vi.fn() };
const post = vi.fn<(did: string, rkey: string, body: MessageBody) => Promise<void>>();
let outbox: Outbox;
const posted = () => post.mock.calls.map(([, rkey]) => rkey);

beforeEach(() => {
  vi.resetAllMocks();
  outbox = new Outbox(ALICE, store, post);
});

describe("an outbox", () => {
  test("shows what is written, and sends it only once it is shown", async () => {
    outbox.write("hello", "at://parent");
    const [[written]] = store.addOptimistic.mock.calls as [[MessageRecord]];
    const reply = { uri: "at://parent" };
    expect(written).toMatchObject({ did: ALICE, value: { text: "hello", reply } });
    expect(post).not.toHaveBeenCalled();
    outbox.see([{ ...shown(written.rkey, "pending"), value: written.value }]);
    await vi.waitFor(() => expect(post).toHaveBeenCalledExactlyOnceWith(ALICE, written.rkey, written.value));
  });

  test("sends each message once, however often it is seen, and only one's own that are pending", async () => {
    const records = [
      shown("mine", "pending"),
      shown("his", "pending", "did:plc:bob"),
      shown("lost", "failed"),
      shown("old"),
    ];
    outbox.see(records);
    outbox.see(records);
    await vi.waitFor(() => expect(posted()).toEqual(["mine"]));
  });

  test("sends one after the other in the order of writing, also after a failure", async () => {
    let fail!: (reason: string) => void;
    post.mockReturnValueOnce(new Promise((_, reject) => (fail = reject)));
    outbox.see([shown("second", "pending"), shown("first", "pending")]);
    await vi.waitFor(() => expect(posted()).toEqual(["first"]));
    expect(store.markFailed).not.toHaveBeenCalled();
    fail(NO_ANSWER);
    await vi.waitFor(() => expect(posted()).toEqual(["first", "second"]));
    expect(store.markFailed).toHaveBeenCalledExactlyOnceWith("first", NO_ANSWER, ALICE);
  });

  test("sends a failed message again under the same key, and takes it back when told to", async () => {
    post.mockRejectedValueOnce(NO_ANSWER);
    outbox.see([shown("m", "pending")]);
    await vi.waitFor(() => expect(store.markFailed).toHaveBeenCalled());
    outbox.again(shown("m", "failed"));
    const { uri, did, rkey, collection, value, time_us } = shown("m");
    expect(store.addOptimistic).toHaveBeenCalledExactlyOnceWith({
      uri,
      did,
      rkey,
      collection,
      value,
      time_us,
    });
    outbox.see([shown("m", "pending")]);
    await vi.waitFor(() => expect(posted()).toEqual(["m", "m"]));
    outbox.discard(shown("m", "failed"));
    expect(store.removeOptimistic).toHaveBeenCalledExactlyOnceWith("m", ALICE);
  });

  test("takes over from another store what is not sent, oldest first, and sends only what had not failed", async () => {
    outbox.carry([shown("c", "pending"), shown("a", "failed")]);
    expect(store.addOptimistic.mock.calls.map(([{ rkey }]) => rkey)).toEqual(["a", "c"]);
    expect(store.markFailed).toHaveBeenCalledExactlyOnceWith(
      "a",
      { name: "Error", message: NO_ANSWER },
      ALICE,
    );
    outbox.see([shown("c", "pending"), shown("b"), shown("a", "pending")]);
    await vi.waitFor(() => expect(posted()).toEqual(["c"]));
  });
});
