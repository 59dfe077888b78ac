import { emit } from "@tauri-apps/api/event";
import { afterEach, beforeEach, describe, expect, type Mock, test, vi } from "vitest";
import type { FakePlugin } from "./testing/fake-plugin.js";
import { Page } from "./testing/page.js";
import { gate, settled } from "./testing/until.js";
import type { SentWrite } from "./writing.js";

const write: SentWrite = {
  ...{ id: 1, key: "k1", action: "put", did: "did:plc:alice", collection: "com.example.chat.message" },
  ...{ uri: "at://did:plc:alice/com.example.chat.message/x", rkey: "x", value: { text: "hi" }, attempt: 1 },
};

let page: Page;
let plugin: FakePlugin;
let warn: Mock<(message: string, ...details: unknown[]) => void>;

beforeEach(async () => {
  page = await Page.open();
  plugin = page.plugin;
  warn = vi.fn();
});
// A rejection that nobody handled fails the run.
afterEach(async () => {
  await settled();
  page.close();
});

const started = (sender: unknown) => page.started({ sender: sender as () => void, logger: { warn } });

describe("the page's function that sends", () => {
  test("is called at each of Rust's questions with a write of its own, and what it gives is the answer", async () => {
    const seen: SentWrite[] = [];
    await started(async (it: SentWrite) => {
      seen.push(it);
      return { sent: true, cid: "bafy" };
    });
    expect(seen).toEqual([]);
    expect(await plugin.askToSend(1, write)).toEqual({ outcome: { sent: true, cid: "bafy" } });
    expect(await plugin.askToSend(1, write)).toEqual({ outcome: { sent: true, cid: "bafy" } });
    expect(seen).toEqual([write, write]);
    expect(seen[0]).not.toBe(seen[1]);
  });

  test("is the one of the store that is meant", async () => {
    const [one, two] = [vi.fn(), vi.fn()];
    await started(one);
    await started(two);
    await plugin.askToSend(2, write);
    expect([one, two].map(({ mock }) => mock.calls.length)).toEqual([0, 1]);
  });

  test.each<[string, unknown, object]>([
    ["nothing", undefined, {}],
    [
      "that it was refused",
      { refused: { kind: "conflict", message: "no" } },
      { refused: { kind: "conflict", message: "no" } },
    ],
    ["that it is to be tried later", { later: true, after: 3 }, { later: true, after: 3 }],
    ["nonsense", { sent: "perhaps" }, { sent: "perhaps" }],
    ["false", false, false as never],
    ["null, which is not nothing", null, "null" as never],
    ["a big integer", { sent: true, cid: 1n }, "sender.cid: cannot send a BigInt" as never],
    ["an answer of fetch", new Response("ok"), "sender: cannot send a Response" as never],
  ])("may give %s, and Rust is told just that", async (_, given, outcome) => {
    await started(() => given);
    expect(await plugin.askToSend(1, write)).toEqual(given === undefined ? {} : { outcome });
  });

  test("may give what holds itself", async () => {
    const circle: Record<string, unknown> = { sent: true };
    circle["it"] = circle;
    await started(() => circle);
    expect(await plugin.askToSend(1, write)).toEqual({ outcome: expect.stringContaining("holds itself") });
  });

  test.each<[string, () => unknown, string]>([
    ["an error", () => Promise.reject(new Error("offline")), "offline"],
    ["a text with half a character", () => Promise.reject("cut \ud83d"), "cut \ufffd"],
    ["a novel", () => Promise.reject(new Error("n".repeat(5000))), "n".repeat(1000)],
    ["what has no text", () => Promise.reject(Object.create(null)), ""],
    ["nothing", () => Promise.reject(), "undefined"],
  ])("may throw %s, and Rust is told the message", async (_, send, error) => {
    await started(send);
    expect(await plugin.askToSend(1, write)).toEqual({ error });
    await started(() => {
      throw new Error("at once");
    });
    expect(await plugin.askToSend(2, write)).toEqual({ error: "at once" });
  });

  test("may change what it was given", async () => {
    await started((it: { value: { text: string } }) => {
      it.value.text = "mine";
    });
    await plugin.askToSend(1, write);
    expect(write.value).toEqual({ text: "hi" });
  });

  test("may never answer, which holds up nobody else", async () => {
    await started((it: SentWrite) => (it.id === 1 ? gate().opened : undefined));
    void plugin.askToSend(1, write);
    expect(await plugin.askToSend(1, { ...write, id: 2 })).toEqual({});
    expect(plugin.handles("answer_send")).toEqual([1]);
  });

  test.each(["stop", "destroy"] as const)(
    "is believed after %s(), because it may have sent the write, and not asked again",
    async (end) => {
      const sent = gate();
      const send = vi.fn(() => sent.opened.then(() => ({ sent: true })));
      const store = await started(send);
      const answer = plugin.askToSend(1, write);
      await vi.waitFor(() => expect(send).toHaveBeenCalledOnce());
      plugin.intercept = ({ command }) => {
        if (command === "answer_send") throw { kind: "unknown-watch", message: "no such handle" };
      };
      store[end]();
      sent.open();
      await vi.waitFor(() => expect(plugin.handles("answer_send")).toEqual([1]));
      expect(plugin.calls.at(-1)!.args).toMatchObject({ outcome: { sent: true } });
      void answer;
      void plugin.askToSend(1, write);
      await settled();
      expect(send).toHaveBeenCalledOnce();
      expect(warn).not.toHaveBeenCalled();
    },
  );

  test("is told to the logger where its answer does not arrive", async () => {
    await started(() => {});
    plugin.intercept = ({ command }) => {
      if (command === "answer_send") throw "no permission";
    };
    void plugin.askToSend(1, write);
    await vi.waitFor(() => expect(warn).toHaveBeenCalledOnce());
    expect(warn.mock.calls[0]).toEqual([
      "contrail-sync w1: sender's answer was lost",
      expect.objectContaining({ name: "WatchError", kind: "ipc" }),
    ]);
  });

  test("is not asked to send what is no write", async () => {
    const send = vi.fn();
    await started(send);
    const event = `contrail-sync://${plugin.calls[0]?.args["session"]}/send`;
    for (const payload of [
      "{",
      "null",
      "7",
      '{"handle":1}',
      '{"handle":1,"write":[]}',
      '{"handle":9,"write":{}}',
    ]) {
      await emit(event, payload);
    }
    expect(send).not.toHaveBeenCalled();
    expect(await plugin.askToSend(1, write)).toEqual({});
  });
});

test("a store whose sender is in Rust has nothing to send, and says so if it is asked", async () => {
  await started({ sender: "server" });
  expect(await plugin.askToSend(1, write)).toEqual({ error: expect.any(String) });
});
