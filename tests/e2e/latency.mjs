// node latency.mjs: how long a write in an appview without streams takes until a window shows it, in milliseconds.
// Takes the programs as the tests do. Clocks are those of one machine.
import { ALICE, BOB, Scene } from "./scene.mjs";

const WRITES = Number(process.env.LATENCY_WRITES ?? 40);

const sorted = (times) => times.toSorted((a, b) => a - b);
const percentile = (times, share) => Math.round(sorted(times)[Math.ceil(times.length * share) - 1]);
const report = (name, times) =>
  console.log(
    `${name}: p50 ${percentile(times, 0.5)} ms, p95 ${percentile(times, 0.95)} ms, n ${times.length}`,
  );

/** From when the page has it to when it is drawn is the page's own time: what counts is that it is there. */
function noteArrivals() {
  globalThis.arrivals = {};
  globalThis.sights = {};
  const textOf = (message) => message.querySelector("[data-testid=text]").textContent.trim();
  const note = () => {
    for (const message of document.querySelectorAll("[data-testid=message]")) {
      globalThis.sights[textOf(message)] ??= Date.now();
    }
    for (const message of document.querySelectorAll("[data-testid=message][data-state=sent]")) {
      globalThis.arrivals[textOf(message)] ??= Date.now();
    }
  };
  new MutationObserver(note).observe(document.body, { childList: true, subtree: true, attributes: true });
}

async function arrival(scene, text) {
  const at = await scene.window.until("it shows", (text) => globalThis.arrivals[text], [text], 60_000);
  return Number(at);
}

async function measure(interval) {
  const scene = await Scene.set([["m1", ALICE, "First"]], { isPublic: true });
  try {
    await scene.open(ALICE, { CHAT_POLL_MS: String(interval) });
    await scene.shows("live", [["m1", ALICE, "First"]], 30_000);
    await scene.window.run(noteArrivals);
    const waits = [];
    for (let n = 0; n < WRITES; n++) {
      // Anywhere within an interval.
      await new Promise((resolve) => setTimeout(resolve, Math.random() * interval));
      const before = Date.now();
      await scene.put(`m${n + 2}`, BOB, `Number ${n}`);
      waits.push((await arrival(scene, `Number ${n}`)) - before);
    }
    report(`interval of ${interval / 1000} s`, waits);
    if (interval < 10_000) return;
    const [own, seen] = [[], []];
    // Beside the click, on the page's own clock: what drives the window takes its time.
    await scene.window.run(() =>
      addEventListener("click", () => (globalThis.clicked = Date.now()), { capture: true }),
    );
    for (let n = 0; n < WRITES; n++) {
      await scene.window.type("[data-testid=composer]", `Own ${n}`);
      const before = Date.now();
      await scene.window.click("[data-testid=send]");
      own.push((await arrival(scene, `Own ${n}`)) - before);
      const [sight, clicked] = await scene.window.run(
        (text) => [globalThis.sights[text], globalThis.clicked],
        `Own ${n}`,
      );
      seen.push(Number(sight) - Number(clicked));
    }
    report("put in the window, until it is shown there", seen);
    report("put in the window, until the list has it", own);
  } finally {
    await scene.strike();
  }
}

await measure(2_000);
await measure(10_000);
