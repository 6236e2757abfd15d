/** Mutations of messages, for tests of what bad input does: seeded, so that a run can be repeated. */
import { bytesOf, type Wire } from "./wire.ts";

/** Numbers from 0 up to 1 that a seed decides (Mulberry32). */
function numbersFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Choices that a seed decides. */
export class Chance {
  readonly #next: () => number;

  constructor(seed: number) {
    this.#next = numbersFrom(seed);
  }

  /** A whole number from 0 up to, and without, `most`. */
  below(most: number): number {
    return Math.floor(this.#next() * most);
  }

  oneOf<Value>(values: readonly Value[]): Value {
    return values[this.below(values.length)]!;
  }

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.below(256));
  }
}

/** Raw JSON texts to put in the place of a value: other types, and numbers at and past every bound. */
const RAW_VALUES = [
  "null",
  "true",
  "false",
  "0",
  "-1",
  "1.5",
  '""',
  '" "',
  '"x"',
  '"5"',
  "[]",
  "{}",
  "[[]]",
  '["x"]',
  '{"0":null}',
  "[null]",
  "255",
  "256",
  "65535",
  "65536",
  "4294967295",
  "4294967296",
  "9007199254740991",
  "9007199254740992",
  "-9223372036854775808",
  "10413791999999",
  "10413792000000",
  "3.4028235e38",
  "3.5e38",
  "-3.5e38",
  "1e308",
  "1e400",
  "-1e400",
  "5e-324",
  "-0",
  '"1e400"',
  '"NaN"',
  '"-5"',
  '"0x10"',
  '"99999999999999999999"',
  '"\\ud800"',
  '"\\u0000"',
  '"\\uFEFFx"',
  '"\\ud83d\\ude00"',
  '{"__proto__":{"a":1}}',
  '{"constructor":1}',
  "[".repeat(50) + "]".repeat(50),
  `"${"y".repeat(300)}"`,
  "NaN",
  "",
  "01",
];
const KEYS = [
  "__proto__",
  "id",
  "type",
  "data",
  "timestamp",
  "address",
  "hardware",
  "version",
  "\\ud800",
  "",
  "0",
  "x",
];

/** A place in a JSON value: the container and the key in it. */
interface Place {
  readonly held: Wire;
  readonly key: string;
}

function placesOf(value: unknown): Place[] {
  if (typeof value !== "object" || value === null) return [];
  const held = value as Wire;
  return Object.keys(held).flatMap((key) => [{ held, key }, ...placesOf(held[key])]);
}

const MARK = "\u0001mark\u0001";

/** The text of a message with the value at a random place given as raw JSON. */
function withRaw(wire: Wire, chance: Chance, raw: (old: string) => string): string {
  const { held, key } = chance.oneOf(placesOf(wire));
  const old = JSON.stringify(held[key]);
  held[key] = MARK;
  return JSON.stringify(wire).replace(JSON.stringify(MARK), () => raw(old));
}

function spliced(bytes: Uint8Array, at: number, drop: number, insert: Uint8Array): Uint8Array {
  const made = new Uint8Array(bytes.length - Math.min(drop, bytes.length - at) + insert.length);
  made.set(bytes.subarray(0, at));
  made.set(insert, at);
  made.set(bytes.subarray(at + drop), at + insert.length);
  return made;
}

/** Each makes another message of the text of one; what comes out may still be valid. */
export const MUTATIONS: readonly ((line: string, chance: Chance) => string | Uint8Array)[] = [
  function flipsBits(line, chance) {
    const bytes = bytesOf(line).slice();
    for (let count = 1 + chance.below(4); count > 0; count--) {
      bytes[chance.below(bytes.length)]! ^= 1 << chance.below(8);
    }
    return bytes;
  },
  function cutsItShort(line, chance) {
    return bytesOf(line).slice(0, chance.below(line.length));
  },
  function insertsBytes(line, chance) {
    const bytes = bytesOf(line);
    return spliced(bytes, chance.below(bytes.length), 0, chance.bytes(1 + chance.below(8)));
  },
  function dropsBytes(line, chance) {
    const bytes = bytesOf(line);
    return spliced(bytes, chance.below(bytes.length), 1 + chance.below(20), new Uint8Array());
  },
  function swapsTheTypeOfAValue(line, chance) {
    return withRaw(JSON.parse(line), chance, () => chance.oneOf(RAW_VALUES));
  },
  function swapsATypeInDataAsText(line, chance) {
    const wire = JSON.parse(line);
    return JSON.stringify({
      ...wire,
      data: withRaw({ data: wire.data }, chance, () => chance.oneOf(RAW_VALUES)).slice(8, -1),
    });
  },
  function swapsAnEnvelopeField(line, chance) {
    const key = chance.oneOf(["id", "type", "timestamp", "gateway", "data", "version"]);
    return JSON.stringify({ ...JSON.parse(line), [key]: MARK }).replace(
      JSON.stringify(MARK),
      () => chance.oneOf(RAW_VALUES),
    );
  },
  function deletesAKey(line, chance) {
    const wire = JSON.parse(line);
    const { held, key } = chance.oneOf(placesOf(wire));
    delete held[key];
    return JSON.stringify(wire);
  },
  function doublesAKey(line, chance) {
    return withRaw(JSON.parse(line), chance, (old) => `${old},"${chance.oneOf(KEYS)}":${chance.oneOf(RAW_VALUES)}`);
  },
  function namesAKeyAnew(line, chance) {
    const wire = JSON.parse(line);
    const { key } = chance.oneOf(placesOf(wire));
    return line.replace(`"${key}":`, `"${chance.oneOf(KEYS)}":`);
  },
  function swapsTwoFields(line, chance) {
    const wire = JSON.parse(line);
    const places = placesOf(wire);
    const [a, b] = [chance.oneOf(places), chance.oneOf(places)];
    const copy = structuredClone(a.held[a.key]);
    a.held[a.key] = structuredClone(b.held[b.key]);
    b.held[b.key] = copy;
    return JSON.stringify(wire);
  },
  function putsItIntoAnotherShape(line, chance) {
    const wire = JSON.parse(line);
    return chance.oneOf([
      `[${line}]`,
      JSON.stringify(line),
      `\uFEFF${line}`,
      JSON.stringify({ ...wire, data: [wire.data] }),
      JSON.stringify({ ...wire, type: chance.oneOf(["stream_trace", "network_capabilities", "unheard_of"]) }),
      `${line}\n${line}`,
      "",
    ]);
  },
];
