// Child processes end with us, together with what they started.
import { once } from "node:events";

const alive = new Set();

function signal(child, name) {
  try {
    // A detached child leads a process group of its own.
    process.kill(-child.pid, name);
  } catch (error) {
    if (error.code !== "ESRCH") throw error;
  }
}

process.once("exit", () => alive.forEach((child) => signal(child, "SIGKILL")));
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(name, () => process.exit(130));

/** Remembers a detached child; returns a function that ends it and resolves once it has ended. */
export function onExit(child) {
  if (child.pid === undefined) return async () => {};
  alive.add(child);
  const ended = once(child, "exit").finally(() => alive.delete(child));
  ended.catch(() => {});
  return async (name) => {
    signal(child, name);
    const late = setTimeout(() => signal(child, "SIGKILL"), 5_000);
    await ended;
    clearTimeout(late);
    // What outlived the group's leader.
    signal(child, "SIGKILL");
  };
}
