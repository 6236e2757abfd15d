/** `latecomer dlq`: the dead letters, what became of them, and publishing their events again once they are mended. */
import { Buffer } from "node:buffer";
import type { Command } from "commander";
import type { NatsConnection } from "nats";
import type { ClickHouse } from "../clickhouse/client.ts";
import type { Config } from "../config.ts";
import { type Assignment, parseAssignment } from "../core/amend.ts";
import { formatInstant } from "../core/time.ts";
import { EXIT } from "../errors.ts";
import { type Letter, type LetterFilter, readLetter, readLetters, readReceipts } from "../nats/letters.ts";
import { openEventStream } from "../nats/stream.ts";
import { checkClickHouse, requireSound } from "./checks.ts";
import {
  configOf,
  type Context,
  PLACES,
  printJson,
  printLine,
  printTable,
  withServers,
  withSettings,
} from "./context.ts";
import { bytesOf, judgedNow, type LetterState, standingOf } from "./letters.ts";
import { contentOf } from "./publish.ts";
import { report, republish, type RepublishFlags, requireSelection } from "./republish.ts";
import { instant, requireWindow, TIME_FORMS } from "./time.ts";
import { appended, usage, wholeNumber } from "./values.ts";

interface ListFlags extends LetterFilter {
  readonly from?: number;
  readonly to?: number;
  readonly json?: boolean;
}

/** Letters of one reason, source and type. */
interface Group extends Record<LetterState, number> {
  readonly source: string;
  readonly reason: string;
  readonly type: string;
  letters: number;
  readonly first: { readonly letter: number; readonly at: string };
  last: { readonly letter: number; readonly at: string };
  /** Numbers of the first letters that wait. */
  readonly examples: number[];
}

const EXAMPLES = 3;

/** Bytes of a message that is no text, shown in hexadecimal. */
const HEX_HEAD = 32;

export function registerDlq(program: Command, context: Context): void {
  const command = program.command("dlq").enablePositionalOptions()
    .description("dead letters: list them, show one, publish their events again");
  const filtered = (one: Command) =>
    one.option("--reason <reason>", "letters with this reason").option("--type <type>", "letters of this event type")
      .option("--source <name>", "letters of this source");
  withSettings(
    filtered(command.command("list").description("how many letters there are of each reason, source and type"))
      .option("--from <time>", `letters written from then on: ${TIME_FORMS}`, instant)
      .option("--to <time>", `letters written before then: ${TIME_FORMS}`, instant)
      .option("--json", "one JSON document on stdout"),
    PLACES,
  ).action(async (flags: ListFlags) => {
    requireWindow(flags);
    await withBoth(context, flags, async (nc, clickhouse) => {
      const groups = await list(nc, clickhouse, { ...flags, fromMs: flags.from, toMs: flags.to });
      if (flags.json) return printJson({ groups });
      if (groups.length === 0) return printLine("no dead letters");
      printTable(
        ["reason", "source", "type", "letters", "waiting", "republished", "recovered", "first", "last", "for example"],
        groups.map((one) => [
          ...[one.reason, one.source, one.type, one.letters, one.waiting, one.republished, one.recovered],
          ...[one.first.at, one.last.at, one.examples.join(", ")],
        ]),
      );
    });
  });
  withSettings(
    command.command("show").description("everything that is known of a letter, and its bytes")
      .argument("<seq>", "its number: its sequence in LIVEPEER_DLQ", wholeNumber)
      .option("--json", "one JSON document on stdout"),
    PLACES,
  ).action((number: number, flags: ListFlags) =>
    withBoth(context, flags, async (nc, clickhouse) => {
      const { bytes, ...known } = await show(nc, clickhouse, number);
      if (flags.json) return printJson({ ...known, bytes });
      printTable(["", ""], Object.entries(known).map(([name, value]) => [name, shownOf(value)]));
      printLine(bytes === null ? "Its bytes are gone." : bytes.text ?? `${bytes.hexHead}\n${bytes.base64}`);
    })
  );
  withSettings(
    filtered(command.command("republish").description("publish the events of letters again, mended or as they are"))
      .option("--seq <n>", "the letter of this number; may be repeated", appended(wholeNumber))
      .option("--set <path=value>", "set a member, as in data.type=error; may be repeated", appended(assignment))
      .option("--from <file>", "publish these bytes instead (one --seq); - is standard input")
      .option("--yes", "publish; without it only what would be done is shown")
      .option("--json", "one JSON document on stdout"),
    [...PLACES, "partitions"],
  ).action(async (flags: RepublishFlags) => {
    requireSelection(flags);
    const fixed = flags.from === undefined ? undefined : new Uint8Array(await contentOf(flags.from));
    await withBoth(context, flags, async (nc, clickhouse, config) => {
      const remedies = await republish({ nc, clickhouse, partitions: config.partitions }, flags, fixed);
      if (remedies.some(({ action }) => action === "refuse")) context.setExitCode(EXIT.failed);
      report(remedies, flags);
    });
  });
}

function assignment(text: string): Assignment {
  const parsed = parseAssignment(text);
  if (parsed === undefined) {
    throw usage(`"${text}" sets nothing, expected path=value`);
  }
  return parsed;
}

async function withBoth(
  context: Context,
  flags: object,
  work: (nc: NatsConnection, clickhouse: ClickHouse, config: Config) => Promise<void>,
): Promise<void> {
  const config = configOf(context, flags);
  await withServers(config, async (nc, clickhouse) => {
    requireSound(await checkClickHouse(config, clickhouse));
    await work(nc, clickhouse, config);
  });
}

async function list(nc: NatsConnection, clickhouse: ClickHouse, filter: LetterFilter): Promise<Group[]> {
  const receipts = await readReceipts(nc);
  const groups = new Map<string, Group>();
  for await (const letters of readLetters(nc, filter)) {
    const standings = await standingOf(clickhouse, receipts, letters);
    for (const [at, letter] of letters.entries()) add(groups, letter, standings[at]!.state);
  }
  return [...groups.values()].sort((a, b) => b.waiting - a.waiting || b.letters - a.letters);
}

function add(groups: Map<string, Group>, { source, reason, type, number, writtenAtMs }: Letter, state: LetterState) {
  const key = JSON.stringify([source, reason, type]);
  const here = { letter: number, at: formatInstant(writtenAtMs) };
  const group = groups.get(key) ?? {
    ...{ reason, source, type, letters: 0, waiting: 0, republished: 0, recovered: 0 },
    ...{ first: here, last: here, examples: [] },
  };
  group.letters++;
  group[state]++;
  group.last = here;
  if (state === "waiting" && group.examples.length < EXAMPLES) group.examples.push(number);
  groups.set(key, group);
}

async function show(nc: NatsConnection, clickhouse: ClickHouse, number: number) {
  const letter = await readLetter(nc, number);
  const receipts = await readReceipts(nc);
  const { state, accepted } = (await standingOf(clickhouse, receipts, [letter]))[0]!;
  const bytes = await bytesOf(clickhouse, letter);
  const now = bytes === undefined ? undefined : judgedNow(letter, bytes);
  return {
    letter: letter.number,
    writtenAt: formatInstant(letter.writtenAtMs),
    state,
    reason: letter.reason,
    detail: letter.details,
    stage: letter.stage,
    class: letter.failureClass,
    source: letter.source,
    type: letter.type,
    id: letter.id,
    uid: letter.uid,
    subject: letter.subject,
    streamSequence: letter.streamSequence,
    inStream: await (await openEventStream(nc)).storedAtMs(letter.streamSequence) !== undefined,
    decodesNow: now === undefined
      ? null
      : now.outcome === "rejected"
      ? { outcome: now.outcome, reason: now.rejection.reason, detail: now.rejection.details }
      : { outcome: now.outcome, uid: now.envelope.uid },
    republishedAs: receipts.get(letter.letterId) ?? [],
    acceptedAs: accepted === undefined ? null : { uid: accepted.uid, streamSequence: accepted.streamSequence },
    bytes: bytes === undefined ? null : contentIn(bytes),
  };
}

/** Bytes as text where they are text that a terminal shows as it stands, else in base64 with a head in hexadecimal. */
function contentIn(bytes: Uint8Array) {
  const length = bytes.length;
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    // deno-lint-ignore no-control-regex
    if (!/[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]/.test(text)) return { length, text };
  } catch {
    // No UTF-8.
  }
  const buffer = Buffer.from(bytes);
  const hexHead = buffer.subarray(0, HEX_HEAD).toString("hex").replace(/(..)(?=.)/g, "$1 ");
  return { length, hexHead, base64: buffer.toString("base64") };
}

function shownOf(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
