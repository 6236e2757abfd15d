/**
 * AUDIT: whether a window of the stream gives the same facts however it arrives.
 *
 * The window is derived in memory in the order of the stream, and then under schedules that differ in order,
 * duplication, batches, crashes, the number of partitions and of writers. The rows must be the same, byte for byte;
 * where one is not, the smallest schedule that still shows it is what a person can look at.
 */
import { decode, eventTimeOf } from "../core/decode.ts";
import { type Cell, differingColumns, type Row } from "../core/emit/row.ts";
import type { StoredMessage } from "../core/event.ts";
import { judge } from "../core/judge.ts";
import type { Ttl } from "../core/select.ts";
import { PARTITION_ALL, sourceOf, stateKey } from "../core/subject.ts";
import { minimise } from "./minimise.ts";
import {
  type Input,
  inputOf,
  type NewWorld,
  newWorld,
  play,
  playInOrder,
  type Schedule,
  scheduleOf,
} from "./schedule.ts";
import { UNBOUNDED, type WorldSettings } from "./world.ts";

/** A column in which a row differs; a value is `undefined` where there is no row at all. */
export interface ColumnDifference {
  readonly column: string;
  readonly inOrder: Cell | undefined;
  readonly scheduled: Cell | undefined;
}

/** A fact that a schedule leaves otherwise than the order of the stream does. */
export interface Difference {
  /** The fact's key in a world, and its parts; the uid is blank for the fact of a whole session. */
  readonly key: string;
  readonly table: string;
  readonly source: string;
  readonly session: string;
  readonly uid: string;
  readonly columns: readonly ColumnDifference[];
  /** The seed of the schedule that showed it first, and the schedule. */
  readonly seed: number;
  readonly schedule: Schedule;
}

export class Audit {
  readonly #inputs: readonly Input[];
  readonly #settings: WorldSettings;
  readonly #make: NewWorld;
  readonly #expected: ReadonlyMap<string, Row>;

  /** Derives the messages in their order. `make` is for tests, which make worlds that have a defect. */
  constructor(messages: readonly StoredMessage[], ttl: Ttl, make: NewWorld = newWorld) {
    this.#inputs = messages.map(inputOf);
    this.#settings = settingsFor(messages, ttl);
    this.#make = make;
    this.#expected = playInOrder(this.#inputs, this.#settings, make).table;
  }

  /** The facts that the window gives in order; each schedule compares all of them. */
  get rows(): number {
    return this.#expected.size;
  }

  /** How late the latest snapshot of any order of the window can be, in milliseconds: the span of its event times. */
  get allowedLatenessMs(): number {
    return this.#settings.allowedLatenessMs;
  }

  /** Derives the window under the schedule of a seed, and returns the facts that differ, sorted by key. */
  check(seed: number): Difference[] {
    const schedule = scheduleOf(this.#inputs, seed);
    const { table: facts } = play(schedule, this.#settings, this.#make);
    const found: Difference[] = [];
    for (const key of new Set([...this.#expected.keys(), ...facts.keys()])) {
      const inOrder = this.#expected.get(key);
      const scheduled = facts.get(key);
      const columns = columnsThatDiffer(inOrder, scheduled);
      if (columns.length === 0) continue;
      const row = (inOrder ?? scheduled)!;
      const [table = ""] = key.split("\n");
      const uid = row.source_event_uid === undefined ? "" : String(row.source_event_uid);
      const session = String(row.workflow_session_id);
      found.push({ key, table, source: String(row.source), session, uid, columns, seed, schedule });
    }
    return found.sort((a, b) => a.key < b.key ? -1 : 1);
  }

  /**
   * The difference in the smallest schedule that still shows it. Its columns are those of that schedule, whose
   * messages are fewer, compared with the same messages in order.
   */
  minimal(difference: Difference): Difference {
    const { key } = difference;
    const columnsOf = (schedule: Schedule) => {
      const inOrder = playInOrder(distinctInOrder(schedule), this.#settings, this.#make).table.get(key);
      return columnsThatDiffer(inOrder, play(schedule, this.#settings, this.#make).table.get(key));
    };
    const concerns = ({ message, partition }: Input) =>
      sourceOf(message.subject) === difference.source &&
      (partition === PARTITION_ALL || judge(message).sessionKey === stateKey(difference.source, difference.session));
    const schedule = minimise(difference.schedule, (trial) => columnsOf(trial).length > 0, concerns);
    return { ...difference, schedule, columns: columnsOf(schedule) };
  }
}

/** The messages of a schedule as the stream has them: in order, once each. */
export function distinctInOrder({ arrivals }: Schedule): Input[] {
  return [...new Set(arrivals.map(({ input }) => input))]
    .sort((a, b) => a.message.streamSequence - b.message.streamSequence);
}

function columnsThatDiffer(inOrder: Row | undefined, scheduled: Row | undefined): ColumnDifference[] {
  return differingColumns(inOrder, scheduled)
    .map((column) => ({ column, inOrder: inOrder?.[column], scheduled: scheduled?.[column] }));
}

/**
 * Memory has no bound and no snapshot is too late, for what these cost is counted and told apart from a difference:
 * here only the arrival may decide.
 */
function settingsFor(messages: readonly StoredMessage[], ttl: Ttl): WorldSettings {
  let [fromMs, toMs] = [Infinity, -Infinity];
  for (const message of messages) {
    const timeMs = eventTimeOf(decode(message));
    fromMs = Math.min(fromMs, timeMs ?? Infinity);
    toMs = Math.max(toMs, timeMs ?? -Infinity);
  }
  return { ...UNBOUNDED, ttl, allowedLatenessMs: Math.max(0, toMs - fromMs), mostSeen: 2 * messages.length };
}
