// Pictures as PNG files with a palette: a third of the size of what a window's screenshot is, and to the eye the same.
import { crc32, deflateSync } from "node:zlib";
import { PNG } from "pngjs";

const COLOURS = 256;
const SIGNATURE = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");

/** The pixels of a PNG: `width`, `height` and `data`, four bytes each. */
export const decode = (file) => PNG.sync.read(file);

/** An empty picture. */
export const blank = (width, height) => new PNG({ width, height });

/** Pictures of the same height side by side on a ground of one colour. */
export function beside(pictures, ground, gap = 16) {
  const width = pictures.reduce((sum, it) => sum + it.width + gap, gap);
  const all = blank(width, pictures[0].height + 2 * gap);
  for (let i = 0; i < all.data.length; i += 4) all.data.writeUInt32BE(((ground << 8) | 255) >>> 0, i);
  let left = gap;
  for (const picture of pictures) {
    PNG.bitblt(picture, all, 0, 0, picture.width, picture.height, left, gap);
    left += picture.width + gap;
  }
  return all;
}

/** A PNG file of a picture without transparency. What lies within `boxes` has no say in the choice of colours. */
export function encode({ width, height, data }, boxes = []) {
  const inside = (x, y) => boxes.some((it) => x >= it.left && x < it.right && y >= it.top && y < it.bottom);
  const counts = new Map();
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      if (inside(x, y)) continue;
      const colour = at(data, y * width + x);
      counts.set(colour, (counts.get(colour) ?? 0) + 1);
    }
  }
  const colours = palette(counts);
  const nearest = finder(colours);
  const rows = Buffer.alloc((width + 1) * height);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) rows[y * (width + 1) + 1 + x] = nearest(at(data, y * width + x));
  }
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 3], 8); // a byte for each pixel, which is the number of a colour
  const bytes = Buffer.from(colours.flatMap(parts));
  const chunks = [chunk("IHDR", head), chunk("PLTE", bytes), chunk("IDAT", deflateSync(rows, { level: 9 }))];
  return Buffer.concat([SIGNATURE, ...chunks, chunk("IEND", Buffer.alloc(0))]);
}

function chunk(type, body) {
  const named = Buffer.concat([Buffer.from(type, "latin1"), body]);
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(body.length);
  sum.writeUInt32BE(crc32(named));
  return Buffer.concat([length, named, sum]);
}

const at = (data, pixel) => data.readUIntBE(4 * pixel, 3);
const parts = (colour) => [colour >> 16, (colour >> 8) & 255, colour & 255];

/** At most 256 of these colours that stand for all: median cut. What is most common is kept as it is. */
function palette(counts) {
  const boxes = [boxOf([...counts].map(([colour, count]) => ({ colour, count, parts: parts(colour) })))];
  while (boxes.length < COLOURS) {
    const widest = boxes.reduce((a, b) => (b.weight > a.weight ? b : a));
    if (widest.weight === 0) break;
    boxes.splice(boxes.indexOf(widest), 1, ...halves(widest));
  }
  return boxes.map(({ colours }) => colours.reduce((a, b) => (b.count > a.count ? b : a)).colour);
}

/** Colours with the part by which they differ most. */
function boxOf(colours) {
  let [axis, width] = [0, 0];
  for (const part of [0, 1, 2]) {
    const values = colours.map(({ parts }) => parts[part]);
    const range = values.reduce((a, b) => Math.max(a, b)) - values.reduce((a, b) => Math.min(a, b));
    if (range > width) [axis, width] = [part, range];
  }
  const pixels = colours.reduce((sum, { count }) => sum + Math.sqrt(count), 0);
  return { colours, axis, weight: width * width * pixels };
}

function halves({ colours, axis }) {
  const sorted = colours.toSorted((a, b) => a.parts[axis] - b.parts[axis] || a.colour - b.colour);
  const middle = (sorted[0].parts[axis] + sorted.at(-1).parts[axis]) / 2;
  const cut = sorted.findIndex(({ parts }) => parts[axis] > middle);
  return [boxOf(sorted.slice(0, cut)), boxOf(sorted.slice(cut))];
}

/** Gives the number of the colour that is most like another one. */
function finder(colours) {
  const known = new Map();
  const all = colours.map(parts);
  return (colour) => {
    let found = known.get(colour);
    if (found !== undefined) return found;
    const [r, g, b] = parts(colour);
    let least = Infinity;
    all.forEach((it, i) => {
      const distance = (it[0] - r) ** 2 + (it[1] - g) ** 2 + (it[2] - b) ** 2;
      if (distance < least) [least, found] = [distance, i];
    });
    known.set(colour, found);
    return found;
  };
}
