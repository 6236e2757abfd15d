/** Identity: the two hashes, and how names become subject tokens, keys and partitions. */
import * as assert from "uvu/assert";
import fc from "fast-check";
import { fnv1a32, hash63, hash64, hash64OfBytes } from "../../src/core/hash.ts";
import {
  deadLetterSubject,
  decodeToken,
  encodeToken,
  eventSubject,
  partitionOf,
  sourceOf,
  stateKey,
} from "../../src/core/subject.ts";
import { describe } from "../helpers/suite.ts";

/** Any text without lone surrogates. */
const wellFormed = fc.string({ unit: "binary", maxLength: 60 });

const ODD_TEXTS = [
  "",
  "=",
  "==",
  "=41",
  "a=b",
  ".",
  "*",
  ">",
  "a.b",
  " ",
  "\t\n",
  "\0",
  "%",
  "é",
  "\u{1F600}",
  "=FF",
  "\uFEFF",
  "\uFEFFx",
  "x\uFEFF",
  "\uFFFD",
  "\u2028",
  "__proto__",
  "stream-1|_missing_request",
];

describe("encodeToken() and decodeToken()", (test) => {
  const isToken = /^[A-Za-z0-9_=-]+$/;

  test("any text comes back from its token, which holds only what NATS allows in a key", () => {
    const claim = (text: string) => {
      const token = encodeToken(text);
      assert.match(token, isToken);
      assert.is(decodeToken(token), text);
    };
    for (const text of ODD_TEXTS) claim(text);
    fc.assert(fc.property(wellFormed, claim), { numRuns: 2_000 });
  });

  test("a text that begins with a byte order mark keeps it", () => {
    assert.is(decodeToken(encodeToken("\uFEFFcloud")), "\uFEFFcloud");
  });

  test("two texts never share a token", () => {
    fc.assert(fc.property(wellFormed, wellFormed, (a, b) => assert.is(encodeToken(a) === encodeToken(b), a === b)));
    assert.is(new Set(ODD_TEXTS.map(encodeToken)).size, ODD_TEXTS.length);
  });

  test("plain names stay as they are, and a blank one is a token of its own", () => {
    assert.is(encodeToken("cloud_spe-1"), "cloud_spe-1");
    assert.is(encodeToken(""), "=");
    assert.is(encodeToken("a.b"), "a=2Eb");
    assert.is(encodeToken("é"), "=C3=A9");
  });

  test("a token that encodeToken() never writes stands for itself", () => {
    const foreign = ["=4", "=zz", "=2e", "=FF", "a=", "=C3", "==", "é", "a b", "=41", "x=5F", "\u{1F600}=2E"];
    for (const token of foreign) assert.is(decodeToken(token), token);
  });
});

describe("subjects and keys", (test) => {
  test("events.<source>.<type>.<partition>", () => {
    assert.is(eventSubject("cloud_spe", "stream_trace", "3"), "events.cloud_spe.stream_trace.3");
    assert.is(eventSubject("", "a.b", "all"), "events.=.a=2Eb.all");
    assert.is(deadLetterSubject("s", "missing_type", ""), "dlq.s.missing_type.=");
  });

  test("a source comes back from any subject built with it, and no text adds a token", () => {
    fc.assert(fc.property(wellFormed, wellFormed, (source, type) => {
      const subject = eventSubject(source, type, "0");
      assert.is(sourceOf(subject), source);
      assert.is(subject.split(".").length, 4);
      assert.is(deadLetterSubject(source, type, source).split(".").length, 4);
    }));
  });

  test("an odd subject has the blank source", () => {
    for (const subject of ["", "events", "events.="]) assert.is(sourceOf(subject), "");
    const longest = "x".repeat(1_024);
    assert.is(sourceOf(`events.${longest}.ai_stream_status.0`), longest);
    assert.is(sourceOf(`events.${longest}x.ai_stream_status.0`), "");
  });

  test("a source that would be longer in keys is the blank one, however short it came", () => {
    for (const [character, most] of [["漢", 113], ["%", 341], ["é", 170]] as const) {
      assert.is(sourceOf(`events.${character.repeat(most)}.ai_stream_status.0`), character.repeat(most));
      assert.is(sourceOf(`events.${character.repeat(most + 1)}.ai_stream_status.0`), "");
    }
  });

  test("state keys hold what a KV bucket allows, and keep sources and uids apart", () => {
    fc.assert(fc.property(wellFormed, wellFormed, wellFormed, wellFormed, (a, b, c, d) => {
      const key = stateKey(a, b);
      assert.match(key, /^[A-Za-z0-9_=-]+\.[A-Za-z0-9_=-]+$/);
      assert.is(key === stateKey(c, d), a === c && b === d);
      assert.equal(key.split(".").map(decodeToken), [a, b]);
    }));
    assert.is.not(stateKey("a.b", "c"), stateKey("a", "b.c"));
  });
});

/** FNV-1a written down once more, in exact integers. */
function fnv1aOf(text: string): number {
  let hash = 2_166_136_261n;
  for (const byte of new TextEncoder().encode(text)) hash = ((hash ^ BigInt(byte)) * 16_777_619n) % 4_294_967_296n;
  return Number(hash);
}

describe("fnv1a32() and partitionOf()", (test) => {
  test("match the published vectors", () => {
    const vectors: [string, number][] = [
      ["", 0x811c9dc5],
      ["a", 0xe40c292c],
      ["b", 0xe70c2de5],
      ["foo", 0xa9f37ed7],
      ["foobar", 0xbf9cf968],
      ["chongo was here!\n", 0xd49930d5],
    ];
    for (const [text, hash] of vectors) assert.is(fnv1a32(text), hash, text);
  });

  test("match a second implementation", () => {
    fc.assert(fc.property(fc.string({ unit: "binary-ascii" }), (text) => assert.is(fnv1a32(text), fnv1aOf(text))));
  });

  test("a partition is the hash of the encoded session key modulo the number of partitions", () => {
    fc.assert(fc.property(wellFormed, fc.integer({ min: 1, max: 1_024 }), (key, partitions) => {
      assert.is(partitionOf(key, partitions), String(fnv1aOf(encodeToken(key)) % partitions));
    }));
    assert.is(partitionOf("stream-1|req-1", 16), String(fnv1aOf("stream-1=7Creq-1") % 16));
  });

  test("sessions spread evenly over 16 partitions", () => {
    const counts = new Map<string, number>();
    for (let at = 0; at < 16_000; at++) {
      const partition = partitionOf(
        `aiJobTesterStream-${1_771_958_613_692_007_904n + BigInt(at)}|${at.toString(16)}`,
        16,
      );
      counts.set(partition, (counts.get(partition) ?? 0) + 1);
    }
    assert.is(counts.size, 16);
    for (const count of counts.values()) assert.ok(count > 800 && count < 1_200, String(count));
  });
});

/** A million texts such as events have: counters, ids, records that differ in one digit, swapped parts. */
function* structuredKeys(): Generator<string> {
  for (let at = 0; at < 250_000; at++) {
    yield String(at);
    yield `00000000-0000-4000-8000-${at.toString(16).padStart(12, "0")}`;
    yield JSON.stringify(["ai_stream_status", 1_772_052_191_605 + at, "", {
      streamId: "stream-a",
      outputFps: 17.5,
      state: "ONLINE",
    }]);
    yield `${Math.floor(at / 500)}|stream-${at % 500}|`.padEnd(40, "\0");
  }
}

describe("hash64()", (test) => {
  test("a million structured texts collide nowhere, and either half no more than chance has it", () => {
    const whole = new Set<string>();
    const halves = [new Uint32Array(1_000_000), new Uint32Array(1_000_000)];
    let count = 0;
    for (const key of structuredKeys()) {
      const hash = hash64(key);
      whole.add(hash);
      halves[0]![count] = Number.parseInt(hash.slice(0, 8), 16);
      halves[1]![count] = Number.parseInt(hash.slice(8), 16);
      count++;
    }
    assert.is(count, 1_000_000);
    assert.is(whole.size, count);
    for (const half of halves) {
      half.sort();
      let collisions = 0;
      for (let at = 1; at < count; at++) if (half[at] === half[at - 1]) collisions++;
      // 10^12 / 2 pairs over 2^32 values: 116 expected, with a deviation of 11.
      assert.ok(collisions > 50 && collisions < 200, `${collisions} collisions in 32 bits`);
    }
  });

  test("every bit of a text moves every bit of the hash half of the time", () => {
    const length = 24;
    const samples = 400;
    for (let bit = 0; bit < length * 16; bit += 5) {
      const flips = new Array<number>(64).fill(0);
      for (let sample = 0; sample < samples; sample++) {
        const text = `${sample}:`.padEnd(length, "abcdefghij");
        const at = bit >> 4;
        const flipped = text.slice(0, at) + String.fromCharCode(text.charCodeAt(at) ^ (1 << (bit & 15))) +
          text.slice(at + 1);
        const [one, other] = [hash64(text), hash64(flipped)];
        for (let half = 0; half < 64; half += 32) {
          const at = half / 4;
          const changed = Number.parseInt(one.slice(at, at + 8), 16) ^ Number.parseInt(other.slice(at, at + 8), 16);
          for (let out = 0; out < 32; out++) flips[half + out]! += (changed >>> out) & 1;
        }
      }
      // 400 throws of a coin: 200 expected, deviation 10.
      for (const flip of flips) assert.ok(flip > 130 && flip < 270, `bit ${bit}: ${flip} of ${samples}`);
    }
  });

  test("a zero at the end, and an empty text, hash differently", () => {
    const texts = ["", "\0", "\0\0", "\0\0\0", "a", "a\0", "a\0\0"];
    assert.is(new Set(texts.map(hash64)).size, texts.length);
  });

  test("is 16 lower-case hexadecimal digits, of which hash63() is the upper 63 bits", () => {
    fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
      assert.match(hash64(text), /^[0-9a-f]{16}$/);
      assert.is(hash63(text), BigInt(`0x${hash64(text)}`) >> 1n);
    }));
  });

  test("of bytes is that of the text with one character per byte, however long", () => {
    for (const length of [0, 1, 4_095, 4_096, 4_097, 100_000]) {
      const bytes = Uint8Array.from({ length }, (_, at) => (at * 31) & 255);
      const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
      assert.is(hash64OfBytes(bytes), hash64(text));
    }
  });
});
