/**
 * Every schedule of a small world, one after the other: every order in which its events arrive, with every single
 * duplication and every crash point.
 *
 * Messages come one by one, each followed by everything it leads to: the commit of its partition and, when it is a
 * snapshot, its application and the commit of what it corrects. A crash may come in each of these commits, after
 * each of its durable stages. A row of the table is compared after every schedule, by all of its columns.
 */
import { type Stage, STAGES, World, type WorldSettings } from "../../src/audit/world.ts";
import type { Row } from "../../src/core/emit/row.ts";
import type { StoredMessage } from "../../src/core/event.ts";
import { bytesOf, stored, subjectOf, type Wire } from "./events.ts";

const STORED_MS = 4_000_000_000_000;

/** A message and its partition, ready to be delivered in any place. */
export interface Delivery {
  readonly partition: string;
  /** By place, counted from 0: the message as the stream would have stored it there. */
  readonly at: readonly StoredMessage[];
  readonly isSnapshot: boolean;
}

/** The commit in which a writer dies: the so-maniest of a schedule, and how much of it is durable. */
interface Crash {
  readonly commit: number;
  readonly stage: Stage;
}

/** The messages of a world. */
export function deliveries(wires: readonly Wire[], partitions: number): Delivery[] {
  return wires.map((wire) => {
    const subject = subjectOf(wire, partitions);
    const bytes = bytesOf(wire.envelope);
    return {
      partition: subject.slice(subject.lastIndexOf(".") + 1),
      // One place more than there are events, for the duplicate.
      at: Array.from({ length: wires.length + 1 }, (_, place) => stored(subject, bytes, place + 1, STORED_MS)),
      isSnapshot: wire.envelope.type === "network_capabilities",
    };
  });
}

/** Every permutation of the items (Heap's algorithm); the array is the same one each time. */
export function* permutations<Item>(items: readonly Item[]): Generator<readonly Item[]> {
  const order = [...items];
  const counters = order.map(() => 0);
  yield order;
  for (let at = 0; at < order.length;) {
    if (counters[at]! >= at) {
      counters[at] = 0;
      at++;
      continue;
    }
    const other = at % 2 === 0 ? 0 : counters[at]!;
    [order[at], order[other]] = [order[other]!, order[at]!];
    counters[at]!++;
    at = 0;
    yield order;
  }
}

/** An order, and every order that has one of its events a second time at a later place. */
export function* duplications<Item>(order: readonly Item[]): Generator<readonly Item[]> {
  for (let event = 0; event < order.length; event++) {
    for (let place = event + 1; place <= order.length; place++) {
      yield [...order.slice(0, place), order[event]!, ...order.slice(place)];
    }
  }
}

/** What happens, one after the other, when the messages of an order come one by one. */
type Act =
  | { readonly kind: "append"; readonly partition: string; readonly message: StoredMessage }
  | { readonly kind: "apply" }
  | { readonly kind: "follow"; readonly partition: string };

function actsOf(order: readonly Delivery[], partitions: number): Act[] {
  const others = Array.from({ length: partitions }, (_, k): Act => ({ kind: "follow", partition: String(k) }));
  return order.flatMap(({ partition, at, isSnapshot }, place): Act[] => [
    { kind: "append", partition, message: at[place]! },
    { kind: "follow", partition },
    ...(isSnapshot ? [{ kind: "apply" } as const, ...others] : []),
  ]);
}

function perform(world: World, act: Act): void {
  if (act.kind === "append") world.append(act.partition, act.message);
  else if (act.kind === "apply") world.apply();
  else {
    takeAll(world, act.partition);
    world.commit(act.partition);
  }
}

/** A restart reads again what it must, and applies nothing that it has restored; what was lost comes now. */
function takeAll(world: World, partition: string): void {
  while (world.take(partition) !== undefined);
}

/** How a schedule ends, and the crash that was in it. */
export interface End {
  readonly world: World;
  readonly crash?: Crash;
}

/** Delivers an order to its end. */
export function deliver(order: readonly Delivery[], settings: WorldSettings): End {
  const world = new World(settings);
  for (const act of actsOf(order, settings.partitions)) perform(world, act);
  world.drain();
  return { world };
}

/**
 * Delivers an order to its end, without a crash and with each one that there can be: in a commit for each message, and
 * one more per partition for a snapshot. What comes before a crash is done once for all of them.
 */
export function* deliverWithCrashes(order: readonly Delivery[], settings: WorldSettings): Generator<End> {
  const acts = actsOf(order, settings.partitions);
  const world = new World(settings);
  let commits = 0;
  for (const [at, act] of acts.entries()) {
    if (act.kind !== "follow") {
      perform(world, act);
      continue;
    }
    const { partition } = act;
    takeAll(world, partition);
    const state = world.stateOf(partition);
    const effects = state.seal();
    const commit = commits++;
    for (const stage of STAGES) {
      const other = world.died(partition, effects, stage, commits);
      for (const later of acts.slice(at + 1)) perform(other, later);
      other.drain();
      yield { world: other, crash: { commit, stage } };
    }
    world.keep(partition, effects, "checkpoint", state);
  }
  world.drain();
  yield { world };
}

/** True when a table holds these rows and no others. */
export function isTable(table: ReadonlyMap<string, Row>, expected: ReadonlyMap<string, Row>): boolean {
  if (table.size !== expected.size) return false;
  for (const [key, row] of expected) {
    const other = table.get(key);
    if (other === undefined) return false;
    for (const column in row) if (!isValue(row[column], other[column])) return false;
  }
  return true;
}

/** The columns of a segment hold lists. */
function isValue(value: unknown, expected: unknown): boolean {
  if (!Array.isArray(value) || !Array.isArray(expected)) return value === expected;
  return value.length === expected.length && value.every((item, at) => item === expected[at]);
}
