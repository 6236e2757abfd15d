/** `latecomer explain`: why an event or a session is attributed as it is. Exit 1 when nothing has the name, 2 when several have. */
import type { Command } from "commander";
import type { NatsConnection } from "nats";
import type { ClickHouse } from "../clickhouse/client.ts";
import {
  archivedBytes,
  copiesOf,
  eventsNamed,
  rowsWritten,
  sessionsNamed,
  snapshotsArchived,
  uidsOfSession,
} from "../clickhouse/history.ts";
import type { Config } from "../config.ts";
import { partitionNames } from "../core/subject.ts";
import { EXIT } from "../errors.ts";
import { explain, type Explanation, type Several } from "../explain/explain.ts";
import type { ExplainPorts } from "../explain/gather.ts";
import { sessionLines } from "../explain/session-text.ts";
import { eventLines } from "../explain/text.ts";
import { storedSnapshots } from "../nats/broadcast.ts";
import { openManager } from "../nats/connection.ts";
import { EVENT_STREAM } from "../nats/definitions.ts";
import { readGeneration } from "../nats/generation.ts";
import { messageIn, storedMessage } from "../nats/range.ts";
import { openEventStream } from "../nats/stream.ts";
import { printable } from "../printable.ts";
import { checkClickHouse, checkNats, requireSound } from "./checks.ts";
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
import { type Progress, startProgress } from "./progress.ts";
import { doneSequences } from "./verify.ts";

interface ExplainFlags {
  readonly source?: string;
  readonly json?: boolean;
}

export function registerExplain(program: Command, context: Context): void {
  const command = program.command("explain")
    .description("why an event or a session is attributed as it is: candidates, snapshot, versions, what is missing")
    .argument("<id>", "uid or id of an event, or a session as stream|request")
    .option("--source <name>", "of this source, where several know the id")
    .option("--json", "one JSON document on stdout, with every candidate and version");
  withSettings(command, [...PLACES, "ttlBeforeMs", "ttlAfterMs", "partitions"]).action(
    async (id: string, flags: ExplainFlags) => {
      const config = configOf(context, flags);
      await withServers(config, async (nc, clickhouse) => {
        requireSound([...await checkNats(config, nc), ...await checkClickHouse(config, clickhouse)]);
        const explanation = await explainFrom(config, nc, clickhouse, id, flags.source ?? "");
        if (explanation.kind === "several") context.setExitCode(EXIT.usage);
        if (flags.json) printJson(explanation);
        else print(explanation);
      });
    },
  );
}

/** Wires an explanation to NATS and ClickHouse. */
async function explainFrom(
  config: Config,
  nc: NatsConnection,
  clickhouse: ClickHouse,
  id: string,
  source: string,
): Promise<Explanation> {
  const ttl = { beforeMs: config.ttlBeforeMs, afterMs: config.ttlAfterMs };
  const generation = (await readGeneration(nc))!.generation; // The checks made sure that there is one.
  const stream = await openEventStream(nc);
  const jsm = await openManager(nc);
  let progress: Progress | undefined;
  const ports: ExplainPorts = {
    archive: {
      eventsNamed: (name, of) => eventsNamed(clickhouse, name, of),
      sessionsNamed: (name, of) => sessionsNamed(clickhouse, name, of),
      uidsOfSession: (session) => uidsOfSession(clickhouse, session),
      copiesOf: (of, uids) => copiesOf(clickhouse, of, uids),
      archivedBytes: (of, sequences) => archivedBytes(clickhouse, of, sequences),
      snapshotsArchived: (of, fromMs, toMs) => snapshotsArchived(clickhouse, of, fromMs, toMs),
      rowsWritten: (fact, session, uid) => rowsWritten(clickhouse, config.database, fact, session, uid),
    },
    stream: {
      bounds: () => stream.bounds(),
      messageAt: async (seq) => {
        const found = await messageIn(jsm, EVENT_STREAM, { seq });
        return found && storedMessage(found);
      },
      messages: (range, subject) => stream.messages(range, subject),
      unprocessedFrom: () => unprocessedFrom(nc, config.partitions),
    },
    snapshots: (of) => storedSnapshots(nc, of),
    onProgress: (done, total) => {
      progress ??= startProgress("reading the stream", total);
      progress.update(done);
    },
  };
  try {
    return await explain(id, source, { ttl, generation }, ports);
  } finally {
    progress?.stop();
  }
}

/** The least sequence that some partition has not processed. */
async function unprocessedFrom(nc: NatsConnection, partitions: number): Promise<number> {
  const done = await doneSequences(nc);
  return partitionNames(partitions).reduce((least, name) => Math.min(least, done.get(name) ?? 0), Infinity) + 1;
}

function print(explanation: Explanation): void {
  if (explanation.kind === "several") return printSeveral(explanation);
  const lines = explanation.kind === "event" ? eventLines(explanation) : sessionLines(explanation);
  for (const line of lines) printLine(printable(line));
}

function printSeveral({ matches }: Several): void {
  printLine(`${matches.length} things are called so: name the uid, or add --source`);
  printTable(
    ["kind", "source", "uid or session", "type"],
    matches.map((one) =>
      one.kind === "event"
        ? [one.kind, one.source, one.uid, one.type]
        : [one.kind, one.source, one.sessionId, "session"]
    ),
  );
}
