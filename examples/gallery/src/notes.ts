import { createWatchStore } from "tauri-plugin-contrail-sync-api";

/**
 * What alice has written, newest first: in her space, or in public. Which of them, and what opens her space, is in the page's
 * own URL. All windows ask for the same, so they share one connection.
 */
export const notes = createWatchStore<{ text: string }>({
  url: `/xrpc/com.example.message.watchRecords${location.search}&limit=50`,
  // Public records have no stream: their list is asked for again and again.
  transport: location.search.includes("spaceUri=") ? "sse" : "poll",
  pollInterval: 2000,
  logger: console,
});

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });

/** The time of day of `micros`, microseconds since 1970. */
export const time = (micros: number): string => clock.format(micros / 1000);
