/** `latecomer publish FILE…`: envelopes, one per line, into the event stream. */
import { readFile } from "node:fs/promises";
import process from "node:process";
import { buffer } from "node:stream/consumers";
import type { Command } from "commander";
import type { Config } from "../config.ts";
import { LatecomerError } from "../errors.ts";
import { linesOf } from "../jsonl.ts";
import { publishMessages, type PublishOptions } from "../nats/publish.ts";
import { seeded, shuffled, withDuplicates } from "../runtime/shuffle.ts";
import { configOf, type Context, printJson, printLine, withNats, withSettings } from "./context.ts";
import { startProgress } from "./progress.ts";
import { probability, wholeNumber } from "./values.ts";

interface PublishFlags {
  readonly source: string;
  readonly shuffleSeed?: number;
  readonly duplicate: number;
  readonly rate: number;
  readonly messageIds: boolean;
  readonly json?: boolean;
}

export function registerPublish(program: Command, context: Context): void {
  const command = program.command("publish")
    .description("publish JSONL files of envelopes, in their order")
    .argument("<file...>", "files with one envelope per line; - is standard input")
    .option("--source <name>", "organisation or topic the events belong to", "local")
    .option("--shuffle-seed <n>", "publish in an order that this seed decides", wholeNumber)
    .option(
      "--duplicate <p>",
      "repeat each event with this probability, without message ids so that repeats arrive",
      probability,
      0,
    )
    .option("--rate <n>", "messages per second, 0 for as fast as they are confirmed", wholeNumber, 0)
    .option("--no-message-ids", "send no Nats-Msg-Id, so that the server drops no repeat")
    .option("--json", "one JSON document on stdout");
  withSettings(command, ["natsUrl", "natsCreds", "partitions"]).action(async (files: string[], flags: PublishFlags) => {
    const config = configOf(context, flags);
    let messages: Uint8Array[] = [];
    for (const file of files) messages = messages.concat(linesOf(await contentOf(file)));
    const random = seeded(flags.shuffleSeed ?? 0);
    if (flags.duplicate > 0) messages = withDuplicates(messages, flags.duplicate, random);
    if (flags.shuffleSeed !== undefined) messages = shuffled(messages, random);
    await publishAll(config, messages, messages.length, {
      ...flags,
      messageIds: flags.messageIds && flags.duplicate === 0,
    });
    if (flags.json) printJson({ published: messages.length, source: flags.source });
    else printLine(`published ${messages.length} messages into source ${flags.source}`);
  });
}

/** Publishes the messages, about so many, in their order into a source, showing how far it is; returns how many. */
export async function publishAll(
  config: Config,
  messages: Iterable<Uint8Array>,
  total: number,
  { source, rate, messageIds }: Pick<PublishOptions, "source" | "rate" | "messageIds">,
): Promise<number> {
  return await withNats(config, (nc) => {
    const progress = startProgress("publishing", total);
    return publishMessages(nc, messages, {
      source,
      partitions: config.partitions,
      messageIds,
      rate,
      onProgress: (confirmed) => progress.update(confirmed),
    }).finally(() => progress.stop());
  });
}

/** A file, or standard input for `-`, which must be awaited: a pipe that is slow is no error. */
export async function contentOf(file: string): Promise<Buffer> {
  try {
    return file === "-" ? await buffer(process.stdin) : await readFile(file);
  } catch (cause) {
    throw new LatecomerError("FILE_UNREADABLE", "usage", `cannot read ${file}`, { cause });
  }
}
