/** Uids as entries hold them: shorter where they are a UUID and a hash, and always the same again. */
import fc from "fast-check";
import * as assert from "uvu/assert";
import { packUid, unpackUid } from "../../../src/core/session/uid.ts";
import { describe } from "../../helpers/suite.ts";

const HASH = "0123456789abcdef";
const UUID = "59485235-0f62-4b3c-9e57-ffd1a2b3c4d5";

const hex = (length: number) =>
  fc.array(fc.constantFrom(...HASH), { minLength: length, maxLength: length }).map((digits) => digits.join(""));

const usual = fc.tuple(hex(8), hex(4), hex(4), hex(4), hex(12), hex(16))
  .map(([a, b, c, d, e, hash]) => `${a}-${b}-${c}-${d}-${e}~${hash}`);

describe("packed uids", (test) => {
  test("a UUID and a hash are 33 characters instead of 53", () => {
    assert.is(packUid(`${UUID}~${HASH}`), "=WUhSNQ9iSzyeV__RorPE1QEjRWeJq83v");
    fc.assert(fc.property(usual, (uid) => {
      const packed = packUid(uid);
      assert.is(packed.length, 33);
      assert.match(packed, /^=[A-Za-z0-9_-]{32}$/);
      assert.is(unpackUid(packed), uid);
    }));
  });

  test("any other uid stays as it is, one that begins with = keeps its own", () => {
    for (const uid of ["", HASH, `event-1~${HASH}`, `${UUID}`, `${UUID}~${HASH}0`, ` ${UUID}~${HASH}`]) {
      assert.is(packUid(uid), uid);
    }
    // Upper case would come back as lower case.
    assert.is(packUid(`${UUID.toUpperCase()}~${HASH}`), `${UUID.toUpperCase()}~${HASH}`);
    for (const uid of ["=", "==", `=${UUID}~${HASH}`, packUid(`${UUID}~${HASH}`)]) assert.is(packUid(uid), `=${uid}`);
  });

  test("whatever was packed is the same again, and no two are packed alike", () => {
    const odd = fc.string({ unit: fc.constantFrom("=", "-", "~", "a", "F", "0", "é", "\n", "\u{1f680}") });
    const any = fc.oneof(usual, usual.map(packUid), odd, odd.map((text) => `=${text}`));
    fc.assert(fc.property(any, any, (one, other) => {
      assert.is(unpackUid(packUid(one)), one);
      if (one !== other) assert.is.not(packUid(one), packUid(other));
    }));
  });

  test("what is never written is not read", () => {
    for (const text of ["=", "=AAAA", `=${"A".repeat(31)}`, `=${"A".repeat(33)}`]) {
      assert.throws(() => unpackUid(text), RangeError, text);
    }
    assert.throws(() => unpackUid(`=${"!".repeat(32)}`));
  });
});
