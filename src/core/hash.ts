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

function mix(h: number): number {
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** The halves of the last hash: two results without an array for each call. */
let high = 0;
let low = 0;

/** Hashes the UTF-16 code units of a text into `high` and `low`, two unsigned 32-bit halves. */
function hash(text: string): void {
  let h1 = 0x9747b28c;
  let h2 = 0x3c6ef372;
  const length = text.length;
  // As in x86_128 each block of 32 bits goes into one lane, and each lane is stirred by the other. Units past the
  // end read as 0; the length, mixed in below, tells them from real zeros.
  for (let at = 0; at < length; at += 4) {
    const tail = at + 4 > length;
    let k1 = text.charCodeAt(at) | ((tail && at + 1 >= length ? 0 : text.charCodeAt(at + 1)) << 16);
    k1 = Math.imul(k1, C1);
    k1 = Math.imul((k1 << 15) | (k1 >>> 17), C2);
    h1 ^= k1;
    h1 = (Math.imul((h1 << 19) | (h1 >>> 13), 5) + 0x561ccd1b + h2) | 0;
    let k2 = tail && at + 2 >= length ? 0 : text.charCodeAt(at + 2);
    if (!tail) k2 |= text.charCodeAt(at + 3) << 16;
    k2 = Math.imul(k2, C2);
    k2 = Math.imul((k2 << 16) | (k2 >>> 16), C1);
    h2 ^= k2;
    h2 = (Math.imul((h2 << 17) | (h2 >>> 15), 5) + 0x0bcaa747 + h1) | 0;
  }
  h1 = (h1 ^ length) + (h2 ^ length);
  h2 = (h2 ^ length) + h1;
  h1 = mix(h1 | 0);
  h2 = mix(h2 | 0);
  h1 = (h1 + h2) | 0;
  h2 = (h2 + h1) | 0;
  high = h1 >>> 0;
  low = h2 >>> 0;
}

function hex8(half: number): string {
  return half.toString(16).padStart(8, "0");
}

/** The 64-bit hash of a text as 16 lower-case hexadecimal digits. */
export function hash64(text: string): string {
  hash(text);
  return hex8(high) + hex8(low);
}

/** The 64-bit hash of bytes that are no text; each byte counts as one code unit. */
export function hash64OfBytes(bytes: Uint8Array): string {
  const parts: string[] = [];
  for (let at = 0; at < bytes.length; at += 4096) {
    parts.push(String.fromCharCode(...bytes.subarray(at, at + 4096)));
  }
  return hash64(parts.join(""));
}

/** The upper 63 bits of the 64-bit hash of a text. */
export function hash63(text: string): bigint {
  hash(text);
  return ((BigInt(high) << 32n) | BigInt(low)) >> 1n;
}

/** 32-bit FNV-1a of a text that holds ASCII only, as an unsigned number. */
export function fnv1a32(ascii: string): number {
  let sum = 0x811c9dc5;
  for (let at = 0; at < ascii.length; at++) {
    sum = Math.imul(sum ^ ascii.charCodeAt(at), 0x01000193);
  }
  return sum >>> 0;
}
