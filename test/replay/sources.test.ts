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

const shuffledFrom = (fromSeq: number, seed: number) => {
  const listed = new ListedSource(MESSAGES.slice(fromSeq - FROM));
  return { listed, source: new ShuffledSource(listed, { seed, spanMs: SPAN_MS }) };
};

describe("a source that ends", (test) => {
  test("gives the messages up to its end, that one included, and says that it is drained only then", async () => {
    const source = new BoundedSource(new ListedSource(MESSAGES), 30, new WaitedClock());
    assert.is(await source.drainedUpTo(), undefined);
    const read = [...await source.read(15, 0), ...await source.read(15, 0)];
    assert.equal(read.map((message) => message.streamSequence), MESSAGES.slice(0, 20).map((one) => one.streamSequence));
    assert.is((await source.drainedUpTo())?.streamSequence, 30);
  });

  test("ends too when the last messages of the range are not there any more", async () => {
    const source = new BoundedSource(new ListedSource(MESSAGES), 110, new WaitedClock());
    const short = new BoundedSource(new ListedSource(MESSAGES.slice(0, 5)), 15, new WaitedClock());
    for (const one of [source, short]) {
      await one.read(1_000, 0);
      assert.is.not(await one.drainedUpTo(), undefined);
    }
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
