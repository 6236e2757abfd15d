/** `latecomer load-fixtures`: a folder of fixtures into the event stream, in the order that its manifest says. */
import type { Command } from "commander";
import { formatDuration } from "../core/time.ts";
import { readFixtures } from "../fixtures/read.ts";
import { shiftToNow } from "../fixtures/shift.ts";
import { configOf, type Context, printJson, printLine, withSettings } from "./context.ts";
import { publishAll } from "./publish.ts";
import { wholeNumber } from "./values.ts";

interface LoadFlags {
  readonly source: string;
  readonly rate: number;
  readonly shiftToNow?: boolean;
  readonly json?: boolean;
}

export function registerLoadFixtures(program: Command, context: Context): void {
  const command = program.command("load-fixtures")
    .description("publish the fixtures of a folder in their order, after checking them against their manifest")
    .argument("<folder>", "what export-fixtures wrote")
    .option("--source <name>", "organisation or topic the events belong to", "local")
    .option("--shift-to-now", "move all times by one span of whole hours, the newest into the last hour")
    .option("--rate <n>", "messages per second, 0 for as fast as they are confirmed", wholeNumber, 0)
    .option("--json", "one JSON document on stdout");
  withSettings(command, ["natsUrl", "natsCreds", "partitions"]).action(async (folder: string, flags: LoadFlags) => {
    const config = configOf(context, flags);
    const fixtures = await readFixtures(folder);
    const { messages, shiftMs } = flags.shiftToNow
      ? shiftToNow(fixtures.messages, Date.now())
      : { messages: fixtures.messages, shiftMs: 0 };
    // With ids the server would drop the copies that the stream had delivered, and fixtures that are loaded again.
    await publishAll(config, messages, messages.length, { ...flags, messageIds: false });
    const { order } = fixtures.manifest;
    if (flags.json) return printJson({ published: messages.length, source: flags.source, order, shiftMs });
    const moved = shiftMs === 0
      ? ""
      : `, times moved ${shiftMs < 0 ? "back" : "on"} by ${formatDuration(Math.abs(shiftMs))}`;
    printLine(`published ${messages.length} messages into source ${flags.source}${moved}`);
  });
}
