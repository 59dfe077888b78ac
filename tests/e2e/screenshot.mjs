// node screenshot.mjs FILE: opens the chat with the environment it was given, and saves what it shows once live.
import { writeFile } from "node:fs/promises";
import { Window } from "./webdriver.mjs";

const [file] = process.argv.slice(2);
if (!file || !process.env.E2E_CHAT) {
  console.error("usage: E2E_CHAT=<the chat's binary> node screenshot.mjs FILE");
  process.exit(2);
}
const window = await Window.open(process.env.E2E_CHAT, {});
try {
  await window.until(
    "the chat is live and shows messages",
    () =>
      document.querySelector("[data-testid=status][data-status=live]") &&
      document.querySelectorAll("[data-testid=message]").length >= 5,
    [],
    50_000,
  );
  await window.still();
  await writeFile(file, await window.screenshot());
} finally {
  await window.close();
}
