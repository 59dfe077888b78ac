/** How many rows are on screen. */
export const ROWS = 50;

const list = document.querySelector("#rows");
const rows = Array.from({ length: ROWS }, () => list.appendChild(document.createElement("li")));
const shown = [];
/** Those who wait for the end of a frame, and a way to get there: a message comes after layout and painting. */
let waiting = [];
const afterwards = new MessageChannel();

let next;
let last = performance.now();
let longest = 0;

/** Shows the first of `records` in the next frame; only rows that changed are touched. */
export function show(records) {
  next = records;
}

/** Fulfilled with the time after the next frame, with what was to be shown in it. */
export function painted() {
  return new Promise((resolve) => waiting.push(resolve));
}

/** Begins to look for the longest time between two frames. */
export function watchFrames() {
  longest = 0;
}

/** That time in milliseconds, up to the next frame. */
export async function longestGap() {
  await painted();
  return longest;
}

function draw(records) {
  let i = 0;
  for (const record of records instanceof Map ? records.values() : records) {
    if (i === ROWS) break;
    if (shown[i] !== record) rows[i].textContent = text(record);
    shown[i++] = record;
  }
  for (; i < ROWS && shown[i]; i++) {
    rows[i].textContent = "";
    shown[i] = undefined;
  }
}

function text({ rkey, value }) {
  return `${rkey} ${value.seq ?? ""} ${value.text}`;
}

function frame() {
  const now = performance.now();
  longest = Math.max(longest, now - last);
  last = now;
  if (next) draw(next);
  next = undefined;
  if (waiting.length > 0) afterwards.port1.postMessage(null);
  requestAnimationFrame(frame);
}

afterwards.port2.onmessage = () => {
  const now = performance.now();
  for (const resolve of waiting.splice(0)) resolve(now);
};
requestAnimationFrame(frame);
