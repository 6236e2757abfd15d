/**
 * Uids in entries. Nearly all are a UUID and a hash, 53 characters that say 24 bytes: these are written as `=` and 32
 * characters of base64url. Any other uid is written as it is, after a second `=` where it begins with one itself.
 */

const UUID_AND_HASH = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}~[0-9a-f]{16}$/;

/** Places of the dashes of a UUID and of the `~` in its digits. */
const MARKS: readonly (readonly [at: number, mark: string])[] = [[8, "-"], [12, "-"], [16, "-"], [20, "-"], [32, "~"]];

const PACKED_LENGTH = 33;

export function packUid(uid: string): string {
  if (!UUID_AND_HASH.test(uid)) return uid.startsWith("=") ? `=${uid}` : uid;
  const digits = uid.replaceAll(/[-~]/g, "");
  let bytes = "";
  for (let at = 0; at < digits.length; at += 2) {
    bytes += String.fromCharCode(Number.parseInt(digits.slice(at, at + 2), 16));
  }
  return `=${btoa(bytes).replaceAll("+", "-").replaceAll("/", "_")}`;
}

/** Reads what `packUid` wrote; throws a RangeError at what it never writes. */
export function unpackUid(packed: string): string {
  if (!packed.startsWith("=")) return packed;
  if (packed.startsWith("==")) return packed.slice(1);
  if (packed.length !== PACKED_LENGTH) throw new RangeError("a packed uid has 33 characters");
  const bytes = atob(packed.slice(1).replaceAll("-", "+").replaceAll("_", "/"));
  let digits = "";
  for (let at = 0; at < bytes.length; at++) digits += bytes.charCodeAt(at).toString(16).padStart(2, "0");
  let uid = "";
  let from = 0;
  for (const [at, mark] of MARKS) {
    uid += digits.slice(from, at) + mark;
    from = at;
  }
  return uid + digits.slice(from);
}
