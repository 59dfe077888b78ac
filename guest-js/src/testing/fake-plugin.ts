import { clearMocks, mockIPC } from "@tauri-apps/api/mocks";
import { vi } from "vitest";
import { FakeRust } from "./fake-rust.js";
import { FakeWatch } from "./fake-watch.js";

export type { Call } from "./fake-rust.js";

/**
 * The Rust side with one watch, whatever pages ask for: for the tests of this package, which are about one watch each. What
 * is beneath is what apps get as `fakeContrailSync`. The window it serves is Tauri's own mock of `invoke` and `listen`.
 */
export class FakePlugin extends FakeWatch {
  readonly rust: FakeRust;
  readonly calls: FakeRust["calls"];
  readonly writes: FakeRust["writes"];
  readonly twice: FakeRust["twice"];
  readonly ask: FakeRust["ask"];
  readonly askToSend: FakeRust["askToSend"];
  readonly handles: FakeRust["handles"];

  constructor() {
    const rust = new FakeRust();
    super(rust);
    this.rust = rust;
    this.calls = rust.calls;
    this.writes = rust.writes;
    this.twice = rust.twice;
    this.ask = rust.ask.bind(rust);
    this.askToSend = rust.askToSend.bind(rust);
    this.handles = rust.handles.bind(rust);
    rust.watches.add(this);
    rust.find = () => this;
  }

  get intercept(): FakeRust["intercept"] {
    return this.rust.intercept;
  }

  set intercept(intercept) {
    this.rust.intercept = intercept;
  }

  get cacheInfo(): FakeRust["cacheInfo"] {
    return this.rust.cacheInfo;
  }

  set cacheInfo(info) {
    this.rust.cacheInfo = info;
  }

  get cacheWarnings(): FakeRust["cacheWarnings"] {
    return this.rust.cacheWarnings;
  }

  set cacheWarnings(warnings) {
    this.rust.cacheWarnings = warnings;
  }

  /** Makes this page a Tauri page. */
  install(): void {
    Object.assign(globalThis, { isTauri: true });
    mockIPC((command, args) => this.rust.command(command, args as Record<string, unknown>), {
      shouldMockEvents: true,
    });
  }

  /** Makes it a plain page again. */
  static uninstall(): void {
    Object.assign(globalThis, { isTauri: false });
    clearMocks();
  }

  /** Waits until every page has acknowledged everything there is. */
  override async caughtUp(): Promise<void> {
    // Tests change handles behind its back.
    await vi.waitUntil(() => this.isCaughtUp, { interval: 1, timeout: 5000 });
  }

  /** The list shows a write: the server has it. */
  async confirm(id: number): Promise<void> {
    const { record, told } = this.writes.rows.get(id)!;
    const others = this.records.filter(({ uri }) => uri !== record.uri);
    this.records = told.action === "delete" ? others : [record, ...others];
    this.writes.settle(id, "confirmed");
    await this.tell();
  }
}
