import { mockIPC } from "@tauri-apps/api/mocks";

/** Carries out what a page calls. */
export type Ipc = (command: string, args: Record<string, unknown>) => unknown;

/** What Tauri puts into a page's window. */
const NAMES = ["__TAURI_INTERNALS__", "__TAURI_EVENT_PLUGIN_INTERNALS__"] as const;

/** What its mock put there, kept because a page that listens to events once is not told to do so again. */
let mock: Partial<Record<(typeof NAMES)[number], object>> | undefined;

let ipc: Ipc | undefined;

/** Makes this page one of Tauri, whose calls `answer` gets. */
export function enterTauri(answer: Ipc): void {
  ipc = answer;
  Object.assign(globalThis, { isTauri: true });
  const page = window as unknown as Record<string, object | undefined>;
  if (mock) {
    for (const name of NAMES) page[name] = Object.assign(page[name] ?? {}, mock[name]);
    return;
  }
  mockIPC((command, args) => ipc?.(command, (args ?? {}) as Record<string, unknown>), {
    shouldMockEvents: true,
  });
  mock = Object.fromEntries(NAMES.map((name) => [name, { ...page[name] }]));
}

/**
 * Makes it a plain page again, as far as it can tell. What it has under way, or gives back later, goes to `answer`: a call
 * that fails would be reported in a test that is over.
 */
export function leaveTauri(answer: Ipc): void {
  ipc = answer;
  Object.assign(globalThis, { isTauri: false });
}
