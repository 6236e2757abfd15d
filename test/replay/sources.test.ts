/** Sources that replays read through: one that ends, and one in disorder. */
import * as assert from "uvu/assert";
import type { StoredMessage } from "../../src/core/event.ts";
import { BoundedSource } from "../../src/replay/bounded.ts";
import { ShuffledSource } from "../../src/replay/shuffled.ts";
import { status } from "../helpers/events.ts";
import { ListedSource, storedFrom, WaitedClock } from "../helpers/replayed.ts";
import { describe } from "../helpers/suite.ts";

const SPAN_MS = 10_000;
const FROM = 11;

/** A hundred samples, a second of event time apart. */
const MESSAGES = storedFrom(
  FROM,
  4_000_000,
  Array.from({ length: 100 }, (_, at) => status({ at: at * 1_000, id: `s${at}` })),
);

const idIn = ({ bytes }: StoredMessage) => JSON.parse(new TextDecoder().decode(bytes)).id as string;
const timeIn = ({ bytes }: StoredMessage) => JSON.parse(new TextDecoder().decode(bytes)).timestamp as number;

async function readAll(source: { read(most: number, waitMs: number): Promise<StoredMessage[]> }, most = 7) {
  const found: StoredMessage[] = [];
  for (let got = await source.read(most, 0); got.length > 0; got = await source.read(most, 0)) found.push(...got);
  return found;
}

/** The messages up to a sequence, of a stream that by now begins with `firstSeq`. */
function bounded(messages: readonly StoredMessage[], toSeq: number, { firstSeq = FROM, readTo = FROM - 1 } = {}) {
  return new BoundedSource(new ListedSource(messages), { toSeq, readTo }, {
    stream: { bounds: () => Promise.resolve({ firstSeq, lastSeq: 110 }) },
    clock: new WaitedClock(),
    dropped: (gap) => new Error(`${gap.fromSeq} to ${gap.toSeq}`),
  });
}

const shuffledFrom = (fromSeq: number, seed: number) => {
  const listed = new ListedSource(MESSAGES.slice(fromSeq - FROM));
  return { listed, source: new ShuffledSource(listed, { seed, spanMs: SPAN_MS }) };
};

describe("a source that ends", (test) => {
  test("gives the messages up to its end, that one included, and says that it is drained only then", async () => {
    const source = bounded(MESSAGES, 30);
    assert.is(await source.drainedUpTo(), undefined);
    const read = [...await source.read(15, 0), ...await source.read(15, 0)];
    assert.equal(read.map((message) => message.streamSequence), MESSAGES.slice(0, 20).map((one) => one.streamSequence));
    assert.is((await source.drainedUpTo())?.streamSequence, 30);
  });

  test("ends too when the last messages of the range are not there any more", async () => {
    const source = bounded(MESSAGES, 110);
    const short = bounded(MESSAGES.slice(0, 5), 15);
    for (const one of [source, short]) {
      await one.read(1_000, 0);
      assert.is.not(await one.drainedUpTo(), undefined);
    }
  });
});

describe("a source whose stream expires while it is read", (test) => {
  const later = [...MESSAGES.slice(0, 5), ...MESSAGES.slice(50)];
  const failure = async (read: Promise<unknown>) =>
    (await read.then(() => undefined, (error: Error) => error))?.message;

  test("names what was dropped before it was read, at once, and gives nothing behind it", async () => {
    const source = bounded(later, 110, { firstSeq: 61 });
    assert.is((await source.read(5, 0)).length, 5);
    assert.is(await failure(source.read(5, 0)), "16 to 60");
    assert.is(await failure(bounded(later, 110, { firstSeq: 40 }).read(1_000, 0)), "16 to 39");
    assert.is(await failure(bounded(MESSAGES.slice(20), 110, { firstSeq: 31, readTo: 12 }).read(5, 0)), "13 to 30");
    assert.is(await failure(bounded(MESSAGES.slice(40), 40, { firstSeq: 51, readTo: 20 }).read(5, 0)), "21 to 40");
  });

  test("gives what it has read when the stream could not be asked at first", async () => {
    let isAway = true;
    const source = new BoundedSource(new ListedSource(later), { toSeq: 110, readTo: FROM - 1 }, {
      stream: {
        bounds: () => isAway ? Promise.reject(new Error("away")) : Promise.resolve({ firstSeq: FROM, lastSeq: 110 }),
      },
      clock: new WaitedClock(),
      dropped: () => new Error("dropped"),
    });
    assert.is(await failure(source.read(10, 0)), "away");
    isAway = false;
    assert.equal(idIn((await source.read(10, 0))[0]!), idIn(later[0]!));
  });

  test("is whole where messages were removed within it, and where its head goes behind the reader", async () => {
    assert.is((await bounded(later, 110, { firstSeq: 16 }).read(1_000, 0)).length, later.length);
    assert.is((await bounded(MESSAGES, 110, { firstSeq: 90 }).read(1_000, 0)).length, MESSAGES.length);
  });
});

describe("a source in disorder", (test) => {
  test("gives every message once, under ascending sequences, and each in another place than before", async () => {
    const read = await readAll(shuffledFrom(FROM, 1).source);
    assert.equal(read.map((one) => one.streamSequence), MESSAGES.map((one) => one.streamSequence));
    assert.equal(read.map(idIn).sort(), MESSAGES.map(idIn).sort());
    assert.ok(read.filter((one, at) => idIn(one) !== idIn(MESSAGES[at]!)).length > 80);
  });

  test("displaces none by more than the span: of two in the wrong order the times lie within it", async () => {
    for (let seed = 0; seed < 20; seed++) {
      const times = (await readAll(shuffledFrom(FROM, seed).source)).map(timeIn);
      let greatest = -Infinity;
      for (const time of times) {
        assert.ok(time >= greatest - SPAN_MS);
        greatest = Math.max(greatest, time);
      }
    }
  });

  test("has the same order for the same seed, however it is read, and another for another", async () => {
    const one = (await readAll(shuffledFrom(FROM, 1).source, 3)).map(idIn);
    assert.equal((await readAll(shuffledFrom(FROM, 1).source, 50)).map(idIn), one);
    assert.is.not((await readAll(shuffledFrom(FROM, 2).source)).map(idIn).join(), one.join());
  });

  test("can be left anywhere: what was read and what is read from its rewind on are all messages", async () => {
    for (let count = 1; count < 100; count++) {
      const { listed, source } = shuffledFrom(FROM, 4);
      const read: StoredMessage[] = [];
      while (read.length < count) read.push(...await source.read(Math.min(7, count - read.length), 0));
      const last = read.at(-1)!.streamSequence;
      const rewindSeq = source.rewindOf(last);
      await source.ack(last);
      assert.equal(listed.acks, [rewindSeq - 1], "no more is acknowledged than a restart skips");
      assert.ok(rewindSeq > last - 12 && rewindSeq <= last + 1, "a block at most is read again");
      const again = await readAll(shuffledFrom(rewindSeq, 4).source);
      assert.is(new Set([...read, ...again].map(idIn)).size, 100, `left after ${count}`);
    }
  });

  test("knows where a message lies in the stream, and when what lies in its place was stored", async () => {
    const { source } = shuffledFrom(FROM, 1);
    for (const message of await source.read(5, 0)) {
      const { streamSequence } = message;
      assert.is(source.originOf(streamSequence), FROM + Number(idIn(message).slice(1)));
      assert.is(source.storedAtMs(streamSequence), MESSAGES[streamSequence - FROM]!.streamTimeMs);
    }
  });

  test("is not drained while it holds messages back", async () => {
    const { source } = shuffledFrom(FROM, 1);
    await source.read(99, 0);
    assert.is(await source.drainedUpTo(), undefined);
    await readAll(source);
    assert.is((await source.drainedUpTo())?.streamSequence, 110);
  });
});
