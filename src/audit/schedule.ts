/**
 * Schedules: one way in which the outside may treat a set of messages, as plain data.
 *
 * A step names what it acts on by the place of a message in its arrival, never by a count, so that a schedule still
 * means the same when a message or a step is left out of it; a step that finds nothing to do does nothing.
 */
import type { StoredMessage } from "../core/event.ts";
import { routeOf } from "../core/route.ts";
import { PARTITION_ALL, partitionNames } from "../core/subject.ts";
import { seeded, shuffled } from "../runtime/shuffle.ts";
import { type Stage, STAGES, World, type WorldSettings } from "./world.ts";

/** A message of the audited window. */
export interface Input {
  readonly message: StoredMessage;
  /** What its session hashes to, modulo `MOST_PARTITIONS`, or `all`. */
  readonly partition: number | typeof PARTITION_ALL;
}

/** A delivery of a message; two of one message are a duplication. */
export interface Arrival {
  readonly input: Input;
  /** Its sequence in the stream of the schedule; sequences ascend, with gaps where something was left out. */
  readonly place: number;
}

export type Step =
  /** The writer takes what its partition holds up to a place. */
  | { readonly do: "take"; readonly writer: number; readonly partition: string; readonly upTo: number }
  | { readonly do: "commit"; readonly writer: number; readonly partition: string }
  /** The writer sees so many of the stored snapshots that it has not seen. */
  | { readonly do: "apply"; readonly writer: number; readonly pick: number; readonly count: number }
  | { readonly do: "repeat"; readonly writer: number; readonly pick: number }
  /** The writer dies in the commit of a partition, with so much of it durable, and starts again. */
  | {
    readonly do: "crash";
    readonly writer: number;
    readonly partition: string;
    readonly stage: Stage;
    readonly pick: number;
  };

export interface Schedule {
  readonly partitions: number;
  readonly writers: number;
  readonly arrivals: readonly Arrival[];
  readonly steps: readonly Step[];
  /** The writers that go on until nothing is left to do, one at least; the others end with their last step. */
  readonly survivors: readonly number[];
}

/** Makes a world for a schedule; tests make worlds with a defect. */
export type NewWorld = (settings: WorldSettings, writers: number) => World;

export const newWorld: NewWorld = (settings, writers) => new World(settings, writers);

/** The numbers of partitions that are tried; each divides the last, so a hash modulo it tells all. */
const PARTITIONS = [1, 2, 4] as const;
export const MOST_PARTITIONS = 4;

/** One alone more often than two: what one has lost the other may make good. */
const WRITERS = [1, 1, 2] as const;

/** A message with its partition: by its bytes, whatever number of partitions its publisher knew of. */
export function inputOf(message: StoredMessage): Input {
  const { partition } = routeOf(message.bytes, MOST_PARTITIONS);
  return { message, partition: partition === PARTITION_ALL ? partition : Number(partition) };
}

/** How many messages arrive twice. */
const DUPLICATED = 0.2;

/** Each crash reads the window again from its first open sample on, so they are few however long it is. */
const MOST_CRASHES = 3;

/** A batch takes at most this part of the messages that there are. */
const LARGEST_BATCH = 0.2;

/** A schedule of these messages; the same seed gives the same one. */
export function scheduleOf(inputs: readonly Input[], seed: number): Schedule {
  const random = seeded(seed);
  const below = (limit: number) => Math.floor(random() * limit);
  const partitions = PARTITIONS[below(PARTITIONS.length)]!;
  const writers = WRITERS[below(WRITERS.length)]!;
  const again = inputs.filter(() => random() < DUPLICATED);
  const arrivals = shuffled([...inputs, ...again], random).map((input, at) => ({ input, place: at + 1 }));
  const names = partitionNames(partitions);
  const end = arrivals.length;
  const steps: Step[] = [];
  const all = Array.from({ length: writers }, (_, writer) => writer);
  const readers = all.flatMap((writer) => names.map((partition) => ({ writer, partition, at: 0 })));
  for (let left = readers; left.length > 0; left = left.filter(({ at }) => at < end)) {
    const reader = left[below(left.length)]!;
    const { writer, partition } = reader;
    // Batches of all sizes, small ones as often as large ones.
    reader.at = Math.min(end, reader.at + Math.ceil(Math.max(1, end * LARGEST_BATCH) ** random()));
    steps.push({ do: "take", writer, partition, upTo: reader.at });
    if (random() < 0.6) steps.push({ do: "commit", writer, partition });
    const pick = below(1_000_000);
    if (random() < 0.4) steps.push({ do: "apply", writer, pick, count: 1 + Math.floor(Math.max(1, end) ** random()) });
    if (random() < 0.05) steps.push({ do: "repeat", writer, pick });
  }
  for (let left = below(MOST_CRASHES + 1); left > 0; left--) {
    const { writer, partition } = readers[below(readers.length)]!;
    const crash: Step = {
      do: "crash",
      writer,
      partition,
      stage: STAGES[below(STAGES.length)]!,
      pick: below(1_000_000),
    };
    steps.splice(below(steps.length + 1), 0, crash);
  }
  const survivors = random() < 0.5 ? all : [below(writers)];
  return { partitions, writers, arrivals, steps, survivors };
}

/** Runs a schedule to its end and returns the world that it leaves. */
export function play(schedule: Schedule, settings: WorldSettings, make: NewWorld = newWorld): World {
  const world = make({ ...settings, partitions: schedule.partitions }, schedule.writers);
  for (const arrival of schedule.arrivals) deliver(world, arrival);
  for (const step of schedule.steps) carryOut(world, step);
  for (const writer of schedule.survivors) world.drain(writer);
  for (const writer of schedule.survivors) world.settle(writer);
  return world;
}

/** The same messages by one writer in the order of the stream, once each, every snapshot seen as soon as it is stored. */
export function playInOrder(inputs: Iterable<Input>, settings: WorldSettings, make: NewWorld = newWorld): World {
  const world = make({ ...settings, partitions: 1 }, 1);
  for (const input of inputs) {
    const isShared = deliver(world, { input, place: input.message.streamSequence });
    // What a sample's partition holds is sealed with the corrections of the next snapshot at the latest.
    if (isShared) world.drain();
    else world.take("0");
  }
  world.drain();
  world.settle();
  return world;
}

/** Appends an arrival to the stream; true when its partition is the shared one. */
function deliver(world: World, { input: { message, partition }, place }: Arrival): boolean {
  const isShared = partition === PARTITION_ALL;
  const name = isShared ? PARTITION_ALL : String(partition % world.settings.partitions);
  world.append(name, place === message.streamSequence ? message : { ...message, streamSequence: place });
  return isShared;
}

function carryOut(world: World, step: Step): void {
  const { writer } = step;
  switch (step.do) {
    case "take":
      while ((world.nextOf(step.partition, writer)?.streamSequence ?? Infinity) <= step.upTo) {
        world.take(step.partition, writer);
      }
      return;
    case "commit":
      world.commit(step.partition, "checkpoint", writer);
      return;
    case "apply":
      for (let left = step.count; left > 0 && world.apply(step.pick, writer) !== undefined; left--);
      return;
    case "repeat":
      world.repeat(step.pick, writer);
      return;
    case "crash":
      world.commit(step.partition, step.stage, writer);
      world.crash(step.pick, writer);
  }
}
