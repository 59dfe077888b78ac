import type { Room } from "./chat.js";

/** What can be told of a person from the did alone. */
export interface Person {
  did: string;
  name: string;
  initial: string;
  /** Degrees on the colour wheel, always the same for a did. */
  hue: number;
}

const known = new Map<string, Person>();

/** `did:plc:alice` is Alice. */
export function person(did: string): Person {
  const found = known.get(did);
  if (found) return found;
  const id = did.split(":").pop() || did;
  const name = titled(id);
  const made = { did, name, initial: name.charAt(0), hue: hue(did) };
  known.set(did, made);
  return made;
}

/** The name of a space, from its key: `ats://did:plc:alice/com.example.space/river-house` is River house. */
export function spaceName(uri: string): string {
  return titled(uri.split("/").pop() || uri);
}

/** The name of a room. */
export function roomName(room: Room): string {
  return room.kind === "public" ? "Public room" : spaceName(room.spaceUri);
}

/** What tells a room from all others. */
export function roomKey(room: Room): string {
  return room.kind === "public" ? "public" : room.spaceUri;
}

function titled(slug: string): string {
  const words = slug.replaceAll(/[-_.]+/g, " ").trim() || slug;
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** FNV-1a with a final mix: similar dids get different colours. */
function hue(did: string): number {
  let hash = 7;
  for (const char of did) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 16777619);
  hash ^= hash >>> 15;
  hash = Math.imul(hash, 0x85ebca6b);
  return ((hash ^ (hash >>> 13)) >>> 0) % 360;
}
