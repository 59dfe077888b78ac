import { invoke } from "@tauri-apps/api/core";
import { Appview } from "./appview.js";
import { contestants } from "./contestants.js";
import { cached, flooding, idling, pacing, remembering, starting } from "./measure.js";

/**
 * What is measured:
 *
 * - `appview`: its origin; `round`: number of this run, from 0, which turns the order of the contestants
 * - `sizes`, `paced`, `cached`: records of the lists of each measurement; `repeat`: starts of each list
 * - `rate`, `seconds`: of paced updates
 * - `memory`: `{ who, n }`; nothing else is measured then
 */
const plan = await invoke("plan");
const appview = new Appview(plan.appview);
const heading = document.querySelector("#step");
const names = Object.keys(contestants);
const turned = names.map((_, i) => names[(i + plan.round) % names.length]);

/** Samples are handed back one after the other. */
let handed = Promise.resolve();

function hand(sample) {
  handed = handed.then(() => invoke("sample", { sample }));
}

/** Hands back what one contestant needed. */
function sampler(who) {
  return (name, n, unit, value) => hand({ case: name, n, unit, who, value: value ?? null });
}

/** A step that fails leaves its cell empty, and says why. */
async function step(name, who, n, act) {
  heading.textContent = `${name}: ${who}, ${n} records`;
  try {
    await act(sampler(who));
  } catch (reason) {
    hand({ case: name, n, who, error: String(reason?.message ?? reason) });
  }
}

async function all() {
  const { gap, idle } = await idling(1000 * plan.seconds);
  sampler("ours")("longest frame gap of an idle page", 0, "ms", gap);
  for (const who of names) {
    // What runs first warms up.
    await starting(who, await appview.space(`warm-up-${who}`, 100), 2, () => {});
  }
  for (const n of plan.sizes) {
    for (const who of turned) {
      const space = await appview.space(`${who}-${n}`, n);
      await step("starting", who, n, (sample) => starting(who, space, plan.repeat, sample));
      await step("flooding", who, n, (sample) => flooding(who, appview, space, idle, sample));
    }
  }
  for (const n of plan.paced) {
    for (const who of turned) {
      const space = await appview.space(`paced-${who}-${n}`, n);
      await step("pacing", who, n, (sample) => pacing(who, appview, space, idle, plan, sample));
    }
  }
  for (const n of plan.cached) {
    const space = await appview.space(`cached-${n}`, n);
    await step("cached", "ours", n, (sample) => cached(appview, space, plan.repeat, sample));
  }
}

async function memory({ who, n }) {
  const space = await appview.space(`memory-${who}-${n}`, n);
  await step("remembering", who, n, (sample) => remembering(who, space, sample));
}

try {
  await (plan.memory ? memory(plan.memory) : all());
  await handed;
  await invoke("finish");
} catch (reason) {
  await invoke("finish", { error: String(reason?.stack ?? reason) });
}
