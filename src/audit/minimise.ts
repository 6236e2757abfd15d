/**
 * From a schedule that shows something to the smallest that still does: delta debugging over its messages, then its
 * steps, then the writers and partitions that nothing needs any more, again until nothing more can go.
 */
import type { Input, Schedule, Step } from "./schedule.ts";

/** True when what is looked for still shows. */
export type Shows = (schedule: Schedule) => boolean;

/** How many schedules are tried at most; what is found by then is small enough to read. */
const MOST_TRIALS = 3_000;

/**
 * A schedule with as little in it as can be found, which still shows what `schedule` shows. `concerns` guesses which
 * messages matter: when the guess is right, a long window is cut to them in one trial.
 */
export function minimise(schedule: Schedule, shows: Shows, concerns: (input: Input) => boolean = () => true): Schedule {
  let left = MOST_TRIALS;
  const holds: Shows = (trial) => left-- > 0 && shows(trial);
  const orElse = (present: Schedule, ...trials: Schedule[]) => trials.find(holds) ?? present;
  let found = orElse(schedule, {
    ...schedule,
    arrivals: schedule.arrivals.filter(({ input }) => concerns(input)),
  });
  for (let before = Infinity; sizeOf(found) < before;) {
    before = sizeOf(found);
    found = { ...found, arrivals: fewest(found.arrivals, (arrivals) => holds({ ...found, arrivals })) };
    found = { ...found, steps: fewest(found.steps, (steps) => holds({ ...found, steps })) };
    found = { ...found, survivors: fewest(found.survivors, (survivors) => holds({ ...found, survivors })) };
    found = orElse(found, byOne(found));
    found = orElse(found, inOnePartition(found));
  }
  for (const at of found.steps.keys()) found = orElse(found, ...plainer(found, at));
  return orElse(found, numberedAnew(found));
}

function sizeOf({ arrivals, steps, survivors, writers, partitions }: Schedule): number {
  return arrivals.length + steps.length + survivors.length + writers + partitions;
}

/**
 * A part of the items, in their order, that still holds and holds no more when any one of them is left out (Zeller's
 * ddmin). `holds` must be true of all of them.
 */
export function fewest<Item>(items: readonly Item[], holds: (items: readonly Item[]) => boolean): readonly Item[] {
  let kept = items;
  for (let size = Math.ceil(kept.length / 2); size > 0 && kept.length > 0;) {
    let reduced = false;
    for (let from = 0; from < kept.length;) {
      const rest = [...kept.slice(0, from), ...kept.slice(from + size)];
      if (holds(rest)) {
        kept = rest;
        reduced = true;
      } else from += size;
    }
    // Single items are tried again until none of them can go.
    if (size === 1 && !reduced) break;
    size = Math.max(1, Math.floor(Math.min(size, kept.length) / 2));
  }
  return kept;
}

/** The schedule as one writer would carry it out. */
function byOne(schedule: Schedule): Schedule {
  return {
    ...schedule,
    writers: 1,
    survivors: [0],
    steps: schedule.steps.map((step): Step => ({ ...step, writer: 0 })),
  };
}

function inOnePartition(schedule: Schedule): Schedule {
  const alone = (step: Step): Step =>
    "partition" in step && step.partition !== "all" ? { ...step, partition: "0" } : step;
  return { ...schedule, partitions: 1, steps: schedule.steps.map(alone) };
}

/** The schedule with the choice of one of its steps made a smaller one. */
function plainer(schedule: Schedule, at: number): Schedule[] {
  const { steps } = schedule;
  const step = steps[at]!;
  if (!("pick" in step)) return [];
  const instead = [0, 1, 2].filter((pick) => pick < step.pick).flatMap((pick): Step[] =>
    step.do === "apply" ? [{ ...step, pick, count: 1 }, { ...step, pick }] : [{ ...step, pick }]
  );
  return instead.map((one) => ({ ...schedule, steps: steps.with(at, one) }));
}

/** The schedule with its places counted from 1, without gaps. */
function numberedAnew(schedule: Schedule): Schedule {
  const { arrivals, steps } = schedule;
  return {
    ...schedule,
    arrivals: arrivals.map(({ input }, at) => ({ input, place: at + 1 })),
    steps: steps.map((step): Step =>
      step.do === "take" ? { ...step, upTo: arrivals.filter(({ place }) => place <= step.upTo).length } : step
    ),
  };
}
