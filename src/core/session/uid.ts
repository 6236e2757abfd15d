/**
 * Uids in few bytes. Nearly all are a UUID and a hash, 53 characters that say 24 bytes. In entries these are written as
 * `=` and 32 characters of base64url; any other uid as it is, after a second `=` where it begins with one itself.
 */

/** How many bytes a UUID and a hash are. */
export const UID_BYTES = 24;

const UUID_AND_HASH = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}~[0-9a-f]{16}$/;

/** What follows so many bytes: the dashes of a UUID, and the `~`. */
const MARKS: Readonly<Record<number, string>> = { 3: "-", 5: "-", 7: "-", 9: "-", 15: "~" };

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

const PACKED_LENGTH = 33;

/** True for a uid that is a UUID and a hash. */
export function isUsual(uid: string): boolean {
  return UUID_AND_HASH.test(uid);
}

/** Writes the bytes of a usual uid. */
export function uidToBytes(uid: string, into: Uint8Array): void {
  for (let at = 0, from = 0; at < UID_BYTES; at++) {
    into[at] = 16 * digit(uid, from) + digit(uid, from + 1);
    from += MARKS[at] === undefined ? 2 : 3;
  }
}

/** Reads what `uidToBytes` wrote. */
export function uidOfBytes(bytes: Uint8Array): string {
  const parts: string[] = [];
  for (let at = 0; at < UID_BYTES; at++) parts.push(HEX[bytes[at]!]! + (MARKS[at] ?? ""));
  // One text: added up it would hold on to each of its parts, ten times as much.
  return parts.join("");
}

const bytes = new Uint8Array(UID_BYTES);

export function packUid(uid: string): string {
  if (!isUsual(uid)) return uid.startsWith("=") ? `=${uid}` : uid;
  uidToBytes(uid, bytes);
  return `=${btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_")}`;
}

/** Reads what `packUid` wrote; throws a RangeError at what it never writes. */
export function unpackUid(packed: string): string {
  if (!packed.startsWith("=")) return packed;
  if (packed.startsWith("==")) return packed.slice(1);
  if (packed.length !== PACKED_LENGTH) throw new RangeError("a packed uid has 33 characters");
  const said = atob(packed.slice(1).replaceAll("-", "+").replaceAll("_", "/"));
  if (said.length !== UID_BYTES) throw new RangeError("a packed uid says 24 bytes");
  for (let at = 0; at < UID_BYTES; at++) bytes[at] = said.charCodeAt(at);
  return uidOfBytes(bytes);
}

/** The value of a lower-case hexadecimal digit. */
function digit(text: string, at: number): number {
  const code = text.charCodeAt(at);
  return code < 58 ? code - 48 : code - 87;
}
