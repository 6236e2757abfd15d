/** `streams/CONTRACT.md` says what `streams/` and the code say, and the queries of all documents fit the schema. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as assert from "uvu/assert";
import { REASONS } from "../../src/core/decode.ts";
import { resolveConfig } from "../../src/config.ts";
import { wantedConsumers, wantedStreams } from "../../src/nats/definitions.ts";
import { formatDuration } from "../../src/core/time.ts";
import { documents, queriesIn } from "../helpers/docs.ts";
import { describe } from "../helpers/suite.ts";
import { withSchema } from "../helpers/schema.ts";

const CONTRACT = readFileSync(new URL("../../streams/CONTRACT.md", import.meta.url), "utf8");
const NATS = fileURLToPath(new URL("../../src/nats/", import.meta.url));
const RETENTION = "3d";

/** The cells of the table under a heading, a line each. */
function linesOf(text: string, heading: string): string[][] {
  const section = text.split(/^## /m).find((one) => one.startsWith(heading)) ?? "";
  return section.split("\n").filter((line) => /^\| `/.test(line)).map((line) =>
    line.split("|").slice(1, -1).map((cell) => cell.trim())
  );
}

function namesIn(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name!);
}

/** What the definitions make of each line of the table of what is kept. */
function keptByDefinition(): Map<string, { subjects: string[]; age: string; refuses: boolean }> {
  const streams = wantedStreams(resolveConfig({}, { streamRetentionMs: RETENTION }));
  const kept = new Map(streams.map(({ name, subjects, max_age, discard }) => {
    const age = max_age === 0 ? "for ever" : formatDuration(max_age / 1e6);
    return [name.replace(/^KV_/, ""), {
      subjects,
      age: age === RETENTION ? "retention" : age,
      refuses: discard === "new",
    }];
  }));
  return kept;
}

/** Where a text of the contract and the definitions disagree. */
function contractFlaws(text: string): string[] {
  const flaws: string[] = [];
  const kept = keptByDefinition();
  const lines = linesOf(text, "What is kept");
  const consumers = new Map(wantedConsumers().map(({ config, stream }) => [config.durable_name!, { config, stream }]));
  const named = lines.map(([name]) => namesIn(name!)[0]!).sort();
  const wanted = [...kept.keys(), ...consumers.keys()].sort();
  if (named.join() !== wanted.join()) flaws.push(`it lists ${named.join(", ")}, there are ${wanted.join(", ")}`);
  for (const [cell, subjects, age, full] of lines) {
    const name = namesIn(cell!)[0]!;
    const consumer = consumers.get(name);
    if (consumer !== undefined) {
      const wait = formatDuration(consumer.config.ack_wait! / 1e6);
      if (namesIn(subjects!)[0] !== consumer.stream || !full!.includes(`\`${wait}\``)) flaws.push(`${name} is another`);
      continue;
    }
    const made = kept.get(name);
    if (made === undefined) continue;
    if (/^LIVEPEER/.test(name) && namesIn(subjects!).join() !== made.subjects.join()) {
      flaws.push(`${name}: its subjects`);
    }
    if (age!.replaceAll("`", "") !== made.age) flaws.push(`${name} is kept ${made.age}`);
    if (full!.startsWith("refuses") !== made.refuses) flaws.push(`${name}: what it does when it is full`);
  }
  const keyed = new Set(linesOf(text, "Buckets").map(([name]) => namesIn(name!)[0]!));
  const buckets = [...kept.keys()].filter((name) => !/^LIVEPEER/.test(name));
  for (const bucket of buckets) if (!keyed.delete(bucket)) flaws.push(`the keys of ${bucket} are not told`);
  for (const bucket of keyed) flaws.push(`there is no bucket ${bucket}`);

  const told = new Map(
    linesOf(text, "LIVEPEER_DLQ").flatMap(([reasons, kind]) =>
      namesIn(reasons!).map((reason): [string, string] => [reason, kind!])
    ),
  );
  for (const [reason, kind] of Object.entries(REASONS)) {
    if (told.get(reason) !== kind.join(", ")) flaws.push(`${reason} is ${kind.join(", ")}`);
  }
  for (const reason of told.keys()) if (!(reason in REASONS)) flaws.push(`nothing is refused as ${reason}`);

  const code = readdirSync(NATS).map((file) => readFileSync(`${NATS}${file}`, "utf8")).join("\n");
  const headersIn = (source: string) => new Set([...source.matchAll(/Latecomer-[A-Z]\w+/g)].map(([header]) => header));
  const [used, listed] = [headersIn(code), headersIn(text)];
  for (const header of used) if (!listed.has(header)) flaws.push(`it lacks the header ${header}`);
  for (const header of listed) if (!used.has(header)) flaws.push(`no header is called ${header}`);
  return flaws;
}

describe("streams/CONTRACT.md", (test) => {
  test("says what the definitions and the code say, and what it says otherwise is found", () => {
    assert.equal(contractFlaws(CONTRACT), []);
    const changes: [string | RegExp, string, RegExp][] = [
      [/^\| `replays` .*\n/m, "", /it lists/],
      [/^(\| `leases` .*)`5s`/m, "$1`9s`", /leases is kept 5s/],
      ["| `events.*.*.*` ", "| `events.*.*` ", /LIVEPEER_EVENTS: its subjects/],
      ["retention | drops the oldest ", "retention | refuses ", /LIVEPEER_EVENTS: what it does/],
      ["in `30s` is", "in `60s` is", /rollup is another/],
      [/^\| `unmatched_status` +\| `<source>.<uid>` +\| a .*\n/m, "", /the keys of unmatched_status are not told/],
      ["| `time_in_future`", "| `time_in_past`", /time_in_future is SCHEMA/],
      ["SINK_GUARD, RECORD_TOO_LARGE", "PARSE, RECORD_TOO_LARGE", /record_too_large is SINK_GUARD/],
      ["`Latecomer-Stage`, ", "", /it lacks the header Latecomer-Stage/],
    ];
    for (const [from, to, found] of changes) {
      const changed = CONTRACT.replace(from, to);
      assert.is.not(changed, CONTRACT, String(from));
      assert.match(contractFlaws(changed).join("; "), found);
    }
  });
});

describe("the queries of the documents", (test) => {
  test("are understood by the schema", () =>
    withSchema(async (clickhouse) => {
      const queries = queriesIn(documents());
      assert.ok(queries.length >= 2);
      for (const { at, sql } of queries) {
        await clickhouse.rows(`EXPLAIN ${sql}`).catch((error: Error) => assert.unreachable(`${at}: ${error.message}`));
      }
      const wrong = await clickhouse.rows("EXPLAIN SELECT nothing FROM raw_streaming_events").then(() => "", String);
      assert.match(wrong, /nothing/);
    }));
});
