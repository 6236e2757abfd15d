/**
 * Uids in few bytes. Nearly all are a UUID and a hash, 53 characters that say 24 bytes. In entries these are written as
 * `=` and 32 characters of base64url; any other uid as it is, after a second `=` where it begins with one itself.
 */

/** How many bytes a UUID and a hash are. */
export const UID_BYTES = 24;

const SHAPE = "00000000-0000-0000-0000-000000000000~0000000000000000";

/** Where in that the two digits of each byte stand. */
const PLACES = Uint8Array.from(SHAPE.matchAll(/00/g), ({ index }) => index);

/** Where the other characters stand. */
const MARKS = Array.from(SHAPE.matchAll(/[^0]/g), ({ index }) => index);

/** The digits, and what each says, as codes of characters; all others say -1. */
const DIGITS = new TextEncoder().encode("0123456789abcdef");
const VALUES = new Int8Array(2 ** 16).fill(-1);
for (const [value, digit] of DIGITS.entries()) VALUES[digit] = value;

const decoder = new TextDecoder();
const text = new TextEncoder().encode(SHAPE);

const PACKED_LENGTH = 33;

/** The uid that was asked for last, and its bytes: whoever keeps an event looks for it first, in more than one place. */
let latest = "";
let isLatestUsual = false;
const latestBytes = new Uint8Array(UID_BYTES);

/** The bytes of a usual uid, to be copied before the next call; undefined for any other. */
export function usualBytes(uid: string): Uint8Array | undefined {
  if (uid !== latest) {
    latest = uid;
    isLatestUsual = readBytes(uid);
  }
  return isLatestUsual ? latestBytes : undefined;
}

/** Reads a uid into its bytes; false when it is not usual. In one pass: a pattern takes three times as long (measured). */
function readBytes(uid: string): boolean {
  if (uid.length !== SHAPE.length) return false;
  for (const place of MARKS) if (uid.charCodeAt(place) !== SHAPE.charCodeAt(place)) return false;
  let all = 0;
  for (let at = 0; at < UID_BYTES; at++) {
    const place = PLACES[at]!;
    const byte = VALUES[uid.charCodeAt(place)]! << 4 | VALUES[uid.charCodeAt(place + 1)]!;
    all |= byte;
    latestBytes[at] = byte;
  }
  return all >= 0;
}

/** The uid whose bytes begin there. */
export function uidOfBytes(bytes: Uint8Array, from = 0): string {
  for (let at = 0; at < UID_BYTES; at++) {
    const place = PLACES[at]!;
    const byte = bytes[from + at]!;
    text[place] = DIGITS[byte >> 4]!;
    text[place + 1] = DIGITS[byte & 15]!;
  }
  return decoder.decode(text);
}

/** Of the uid whose bytes begin there: it ends with a hash of its event, of which any part is as good as another. */
export function hashOfBytes(bytes: Uint8Array, from = 0): number {
  const at = from + UID_BYTES - 4;
  return bytes[at]! << 24 | bytes[at + 1]! << 16 | bytes[at + 2]! << 8 | bytes[at + 3]!;
}

/** Below 0 when a uid's bytes, which begin there, come before these in the order of texts; 0 when they are the same. */
export function compareBytes(all: Uint8Array, from: number, bytes: Uint8Array): number {
  // Digits of one case stand in the order of what they say.
  for (let at = 0; at < UID_BYTES; at++) {
    const difference = all[from + at]! - bytes[at]!;
    if (difference !== 0) return difference;
  }
  return 0;
}

export function packUid(uid: string): string {
  const bytes = usualBytes(uid);
  if (bytes === undefined) return uid.startsWith("=") ? `=${uid}` : uid;
  return `=${btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_")}`;
}

/** Reads what `packUid` wrote; throws a RangeError at what it never writes. */
export function unpackUid(packed: string): string {
  if (!packed.startsWith("=")) return packed;
  if (packed.startsWith("==")) return packed.slice(1);
  if (packed.length !== PACKED_LENGTH) throw new RangeError("a packed uid has 33 characters");
  const said = atob(packed.slice(1).replaceAll("-", "+").replaceAll("_", "/"));
  if (said.length !== UID_BYTES) throw new RangeError("a packed uid says 24 bytes");
  return uidOfBytes(Uint8Array.from(said, (character) => character.charCodeAt(0)));
}
