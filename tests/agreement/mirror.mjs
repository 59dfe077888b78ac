// The page's half of the agreement test: keeps a mirror by what it reads, one JSON text a line, and says what it shows.
import { createInterface } from "node:readline";
import { apply } from "../../guest-js/dist-js/mirror.js";
import { unpack } from "../../guest-js/dist-js/record.js";

let mirror;

/** Applies a delta, and sees that every record it does not name is still the same object. */
function take(delta) {
  const next = apply(mirror, delta);
  if (!next) throw new Error(`a delta does not follow: ${JSON.stringify(delta)}`);
  const changed = new Set(delta.ids);
  const before = new Map(mirror.ids.map((id, i) => [id, mirror.records[i]]));
  next.ids.forEach((id, i) => {
    if (!changed.has(id) && before.get(id) !== next.records[i]) throw new Error(`record ${id} is another object`);
  });
  if (next.records.length !== delta.length || next.ids.length !== delta.length) throw new Error("a wrong length");
  return next;
}

for await (const line of createInterface({ input: process.stdin })) {
  const text = line.slice(1);
  if (line.startsWith("S")) {
    const { rev, ids, common, records } = JSON.parse(text);
    mirror = { rev, ids, records: records.map((it) => unpack(it, common)) };
  } else if (line.startsWith("D")) {
    mirror = take(JSON.parse(text));
  } else {
    process.stdout.write(JSON.stringify(mirror.records) + "\n");
  }
}
