/**
 * The two hashes of the project, both over what every JavaScript engine computes alike.
 *
 * `hash64` names content: events (with their id, see identity.ts) and the tie-break between candidates. It is
 * no defence against an attacker who looks for collisions; nothing here decides access. It follows
 * MurmurHash3 x86_128 (Austin Appleby, public domain) cut down to two lanes of 32 bits, because BigInt
 * arithmetic would cost more than decoding the event.
 *
 * `fnv1a32` is what nats-server's `partition()` subject mapping computes, so that a publisher and a server
 * agree on the partition of a session.
 */

const C1 = 0x239b961b;
const C2 = 0xab0e9789;

/** The two lanes of the hash under way. Module state, because an object for each hash costs as much as a short hash. */
let h1 = 0;
let h2 = 0;
let words = 0;

function begin(): void {
  h1 = 0x9747b28c | 0;
  h2 = 0x3c6ef372;
  words = 0;
}

/** Stirs 32 bits into one lane, and that lane with the other; the lanes take turns. */
function addWord(word: number): void {
  let k = Math.imul(word, C1);
  k = Math.imul((k << 15) | (k >>> 17), C2);
  let h = h1 ^ k;
  h = (Math.imul((h << 13) | (h >>> 19), 5) + 0x561ccd1b + h2) | 0;
  h1 = h2;
  h2 = h;
  words++;
}

/** Adds a text: its length, then its UTF-16 code units, two to a word. */
function addText(text: string): void {
  const { length } = text;
  addWord(length);
  const even = length & ~1;
  for (let at = 0; at < even; at += 2) addWord(text.charCodeAt(at) | (text.charCodeAt(at + 1) << 16));
  if (even < length) addWord(text.charCodeAt(even));
}

const bits = new DataView(new ArrayBuffer(8));

/** What a value is, so that no value of one kind hashes as one of another. */
const KIND = { null: 1, false: 2, true: 3, text: 4, number: 5, list: 6, record: 7 } as const;

function addValue(value: unknown): void {
  if (typeof value === "string") {
    addWord(KIND.text);
    addText(value);
  } else if (typeof value === "number") {
    bits.setFloat64(0, value === 0 ? 0 : value); // Minus zero is zero.
    addWord(KIND.number);
    addWord(bits.getInt32(0));
    addWord(bits.getInt32(4));
  } else if (value === null) {
    addWord(KIND.null);
  } else if (typeof value === "boolean") {
    addWord(value ? KIND.true : KIND.false);
  } else if (Array.isArray(value)) {
    addWord(KIND.list);
    addWord(value.length);
    for (let at = 0; at < value.length; at++) addValue(value[at]); // Iterating makes an object for each.
  } else {
    addWord(KIND.record);
    const record = value as Readonly<Record<string, unknown>>;
    for (const key in record) addValue(record[key]);
  }
}

function mix(h: number): number {
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

function finish(): void {
  h1 = (h1 ^ words) | 0;
  h2 = (h2 ^ words) | 0;
  h1 = (h1 + h2) | 0;
  h2 = (h2 + h1) | 0;
  h1 = mix(h1);
  h2 = mix(h2);
  h1 = (h1 + h2) | 0;
  h2 = (h2 + h1) | 0;
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

function hex8(half: number): string {
  return HEX[half >>> 24]! + HEX[(half >>> 16) & 255]! + HEX[(half >>> 8) & 255]! + HEX[half & 255]!;
}

/** The 64-bit hash of a text as 16 lower-case hexadecimal digits. */
export function hash64(text: string): string {
  begin();
  addText(text);
  finish();
  return hex8(h1) + hex8(h2);
}

/**
 * The 64-bit hash of a value made of texts, finite numbers, booleans, nulls, lists and records. Of a record only the
 * values count, in the order of its keys: two records are told apart when they have the same keys in the same order.
 */
export function hash64OfValue(value: unknown): string {
  begin();
  addValue(value);
  finish();
  return hex8(h1) + hex8(h2);
}

/** The 64-bit hash of bytes that are no text; each byte counts as one code unit. */
export function hash64OfBytes(bytes: Uint8Array): string {
  begin();
  const { length } = bytes;
  addWord(length);
  for (let at = 0; at < length; at += 2) addWord(bytes[at]! | ((at + 1 < length ? bytes[at + 1]! : 0) << 16));
  finish();
  return hex8(h1) + hex8(h2);
}

/** Writes the 64-bit hash of two texts, one after the other, as two words. */
export function hash64Words(first: string, second: string, into: Int32Array, at: number): void {
  begin();
  addText(first);
  addText(second);
  finish();
  into[at] = h1;
  into[at + 1] = h2;
}

/** The upper half of the 64-bit hash of a text, as an unsigned number. */
export function hash32(text: string): number {
  begin();
  addText(text);
  finish();
  return h1 >>> 0;
}

/** The upper 63 bits of the 64-bit hash of a text. */
export function hash63(text: string): bigint {
  begin();
  addText(text);
  finish();
  return ((BigInt(h1 >>> 0) << 32n) | BigInt(h2 >>> 0)) >> 1n;
}

/** 32-bit FNV-1a of a text that holds ASCII only, as an unsigned number. */
export function fnv1a32(ascii: string): number {
  let sum = 0x811c9dc5;
  for (let at = 0; at < ascii.length; at++) {
    sum = Math.imul(sum ^ ascii.charCodeAt(at), 0x01000193);
  }
  return sum >>> 0;
}
