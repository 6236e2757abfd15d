/** Publishing the events of dead letters again, mended or as they are. */
import type { NatsConnection } from "nats";
import type { ClickHouse } from "../clickhouse/client.ts";
import { bySource } from "../clickhouse/records.ts";
import { amend, type Assignment } from "../core/amend.ts";
import {
  isLetterOf,
  type Letter,
  type LetterFilter,
  readLetter,
  readLetters,
  readReceipts,
  writeReceipt,
} from "../nats/letters.ts";
import { publishMessages } from "../nats/publish.ts";
import { printJson, printLine, printTable } from "./context.ts";
import { bytesOf, judgedNow, type Standing, standingOf } from "./letters.ts";
import { usage } from "./values.ts";

export interface RepublishFlags extends LetterFilter {
  readonly seq?: readonly number[];
  readonly set?: readonly Assignment[];
  /** A file. */
  readonly from?: string;
  readonly yes?: boolean;
  readonly json?: boolean;
}

/** What a letter comes to when it is published again. */
export interface Remedy {
  readonly letter: number;
  readonly streamSequence: number;
  readonly source: string;
  readonly reason: string;
  readonly action: "publish" | "refuse" | "none";
  readonly why: string;
  /** Of the event that is published; "" where none is. */
  readonly uid: string;
}

/** Letters whose bytes are held at once: they may have a megabyte each. */
const SLICE = 64;

/** Remedies that are listed for people; `--json` has them all. */
const SHOWN = 50;

/** Where letters are read, looked up and published again. */
interface Places {
  readonly nc: NatsConnection;
  readonly clickhouse: ClickHouse;
  readonly partitions: number;
}

/** A mended event that is to be published in the place of a letter's message. */
interface Mended {
  readonly source: string;
  readonly letter: Letter;
  readonly bytes: Uint8Array;
  readonly uid: string;
}

/**
 * Decides what becomes of the letters that flags name, and publishes under `--yes`. Doing it again leaves the same rows:
 * what is accepted is left alone, the message id is that of the mended event (the server drops a repeat within its
 * window), and so is its uid, by which the processor tells a repeat that is later.
 */
export async function republish(
  places: Places,
  flags: RepublishFlags,
  fixed: Uint8Array | undefined,
): Promise<Remedy[]> {
  const receipts = await readReceipts(places.nc);
  const remedies: Remedy[] = [];
  for await (const letters of selected(places.nc, flags)) {
    const standings = await standingOf(places.clickhouse, receipts, letters);
    const due: Mended[] = [];
    for (const [at, letter] of letters.entries()) {
      const { number, streamSequence, source, reason } = letter;
      const verdict = await mend(places, letter, standings[at]!, flags.set ?? [], fixed);
      const { action, why, mended } = verdict;
      remedies.push({ letter: number, streamSequence, source, reason, action, why, uid: mended?.uid ?? "" });
      if (mended !== undefined) due.push(mended);
    }
    if (flags.yes) await publish(places, due);
  }
  return remedies;
}

async function publish({ nc, partitions }: Places, due: readonly Mended[]): Promise<void> {
  for (const [source, some] of bySource(due)) {
    await publishMessages(nc, some.map(({ bytes }) => bytes), { source, partitions, messageIds: true, rate: 0 });
  }
  // Afterwards: a receipt of an event that was never published would hide that it waits.
  await Promise.all(due.map(({ letter, uid }) => writeReceipt(nc, letter, uid)));
}

interface Verdict extends Pick<Remedy, "action" | "why"> {
  readonly mended?: Mended;
}

/** Mends the message of a letter; nothing is published that would not be accepted. */
async function mend(
  { nc, clickhouse }: Places,
  letter: Letter,
  { state, accepted }: Standing,
  set: readonly Assignment[],
  fixed: Uint8Array | undefined,
): Promise<Verdict> {
  if (accepted !== undefined) {
    return { action: "none", why: `recovered: its event is accepted under sequence ${accepted.streamSequence}` };
  }
  const stored = fixed ?? await bytesOf(clickhouse, await readLetter(nc, letter.number));
  if (stored === undefined) return { action: "refuse", why: "its bytes are gone" };
  const amended = amend(stored, set);
  if (!amended.ok) return { action: "refuse", why: amended.why };
  const now = judgedNow(letter, amended.bytes);
  if (now.outcome === "rejected") {
    return { action: "refuse", why: `would be rejected: ${now.rejection.reason}, ${now.rejection.details}` };
  }
  if (now.outcome === "ignored") return { action: "refuse", why: `would be ignored: ${now.reason}` };
  const mended = { source: letter.source, letter, bytes: amended.bytes, uid: now.envelope.uid };
  return { action: "publish", why: `${state}; decodes as ${now.event.type}`, mended };
}

/** Throws USAGE unless flags say which letters are meant: everything is never meant by saying nothing. */
export function requireSelection({ seq, reason, type, source, set, from }: RepublishFlags): void {
  if (seq === undefined && reason === undefined && type === undefined && source === undefined) {
    throw usage("name the letters: --seq, --reason, --type or --source");
  }
  if (from !== undefined && set !== undefined) throw usage("--set mends the bytes, --from replaces them: choose one");
  if (from !== undefined && seq?.length !== 1) throw usage("--from replaces the bytes of one letter: give one --seq");
}

/** The letters that flags name, some at a time. */
async function* selected(nc: NatsConnection, flags: RepublishFlags): AsyncGenerator<Letter[]> {
  const { reason, type, source } = flags;
  const filter = { reason, type, source };
  if (flags.seq !== undefined) {
    const letters = [];
    for (const number of new Set(flags.seq)) letters.push(await readLetter(nc, number));
    return yield letters.filter((letter) => isLetterOf(letter, filter));
  }
  for await (const letters of readLetters(nc, filter)) {
    for (let at = 0; at < letters.length; at += SLICE) yield letters.slice(at, at + SLICE);
  }
}

/** Prints what was done, or would be. */
export function report(remedies: readonly Remedy[], { yes = false, json }: RepublishFlags): void {
  const count = (action: Remedy["action"]) => remedies.filter((one) => one.action === action).length;
  const [selected, publishable] = [remedies.length, count("publish")];
  if (json) {
    const published = yes ? publishable : 0;
    const others = { refused: count("refuse"), recovered: count("none") };
    return printJson({ dryRun: !yes, selected, publishable, published, ...others, letters: remedies });
  }
  if (remedies.length === 0) return printLine("no letter is selected");
  printTable(
    ["letter", "sequence", "source", "reason", "", "why"],
    remedies.slice(0, SHOWN).map(({ letter, streamSequence, source, reason, action, why }) => {
      const done = action === "publish"
        ? yes ? "published" : "would publish"
        : action === "refuse"
        ? "refused"
        : "left";
      return [letter, streamSequence, source, reason, done, why];
    }),
  );
  if (remedies.length > SHOWN) printLine(`and ${remedies.length - SHOWN} more; --json lists all`);
  const what = yes ? "published" : "would be published; --yes publishes";
  printLine(`${publishable} of ${selected} letters ${what}`);
}
