/** Dead letters on real servers: listed, shown, mended and published again, as often as one likes. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { nanos } from "nats";
import * as assert from "uvu/assert";
import { registerDlq } from "../../src/cli/dlq.ts";
import { registerReplay } from "../../src/cli/replay.ts";
import { verify } from "../../src/cli/verify.ts";
import { resolveRange } from "../../src/nats/range.ts";
import { openEventStream } from "../../src/nats/stream.ts";
import { startNatsServer } from "../../src/local/nats-server.ts";
import { type Cluster, encode, type Ended, inFolder, withCluster, withServedCluster } from "../helpers/cluster.ts";
import { environmentOf, inProcess } from "../helpers/command.ts";
import { describe } from "../helpers/suite.ts";
import { bytesOf, capabilitiesWire, SENT_MS, statusWire, traceWire } from "../helpers/wire.ts";

// deno-lint-ignore no-explicit-any -- documents of commands, looked at field by field
type Json = any;

function dlq(cluster: Cluster, ...args: string[]): Promise<Ended> {
  return inProcess(registerDlq, environmentOf(cluster), ["dlq", ...args]);
}

async function json(cluster: Cluster, ...args: string[]): Promise<Json> {
  const { code, out, err } = await dlq(cluster, ...args, "--json");
  assert.is(code, 0, err);
  return JSON.parse(out);
}

const LACKING = (id: string) => bytesOf(statusWire({ pipeline: undefined }, { id }));
const GARBAGE = encode("{nope");
const BINARY = Uint8Array.of(0xff, 0x1b, 0x5b, 0x32, 0x4a);
const FIX = ["--set", "data.pipeline=m"];

/** Five letters: 1 and 2 lack a field, 3 is a trace without its type, 4 is no JSON, 5 not even text. */
async function withLetters(use: (cluster: Cluster) => Promise<void>, within = withServedCluster): Promise<void> {
  await within({}, async (cluster) => {
    const trace = bytesOf(traceWire({ type: "" }, { id: "t1" }));
    await cluster.publish("org", [bytesOf(statusWire()), LACKING("a"), LACKING("b"), trace]);
    await cluster.process();
    // Of another partition, so their letters would come in between.
    await cluster.publish("org", [GARBAGE]);
    await cluster.publish("an other", [BINARY]);
    await cluster.process();
    await use(cluster);
  });
}

async function digestsOf(cluster: Cluster): Promise<unknown> {
  const samples = await cluster.digest("org");
  return { samples, sessions: await cluster.digest("org", "fact_workflow_sessions") };
}

async function stateOf(cluster: Cluster, number: number): Promise<string> {
  return (await json(cluster, "show", String(number))).state;
}

/** Letters and receipts. */
const kept = (cluster: Cluster) => cluster.storedCount("LIVEPEER_DLQ");

describe("latecomer dlq list", (test) => {
  test("counts letters by reason, source and type, with the first, the last and examples", () =>
    withLetters(async (cluster) => {
      const { groups } = await json(cluster, "list");
      assert.equal(
        groups.map((one: Json) => [one.reason, one.source, one.type, one.letters, one.waiting, one.examples]).sort(),
        [
          ["json_parse_error", "an other", "", 1, 1, [5]],
          ["json_parse_error", "org", "", 1, 1, [4]],
          ["missing_field", "org", "ai_stream_status", 2, 2, [1, 2]],
          ["missing_field", "org", "stream_trace", 1, 1, [3]],
        ],
      );
      const [most] = groups;
      assert.equal([most.first.letter, most.last.letter], [1, 2]);
      const only = await json(
        cluster,
        "list",
        "--reason",
        "missing_field",
        "--type",
        "stream_trace",
        "--source",
        "org",
      );
      assert.equal(only.groups.map((one: Json) => one.examples), [[3]]);
      const other = await json(cluster, "list", "--source", "an other");
      assert.is(other.groups.length, 1);
      const now = new Date().toISOString();
      assert.equal(await json(cluster, "list", "--from", now), { groups: [] });
      assert.is((await json(cluster, "list", "--to", now)).groups.length, 4);
      const text = await dlq(cluster, "list");
      assert.match(text.out, /missing_field +org +ai_stream_status +2 +2/);
    }));

  test("is content with none", () =>
    withCluster({}, async (cluster) => {
      // The embedded engine has one client at a time, and the cluster is it.
      await cluster.clickhouse.close();
      assert.match((await dlq(cluster, "list")).out, /no dead letters/);
      assert.is((await json(cluster, "republish", "--source", "org", "--yes")).selected, 0);
    }));
});

describe("latecomer dlq show", (test) => {
  test("tells everything of a letter, and shows its bytes as text or as base64 with a head in hexadecimal", () =>
    withLetters(async (cluster) => {
      const one = await json(cluster, "show", "1");
      assert.equal(
        [one.letter, one.reason, one.detail, one.source, one.type, one.id, one.streamSequence, one.inStream, one.state],
        [1, "missing_field", "data.pipeline is missing or blank", "org", "ai_stream_status", "a", 2, true, "waiting"],
      );
      assert.match(one.subject, /^events\.org\.ai_stream_status\.\d+$/);
      assert.equal(one.decodesNow, { outcome: "rejected", reason: one.reason, detail: one.detail });
      assert.equal(one.bytes.text, new TextDecoder().decode(LACKING("a")));
      const binary = await json(cluster, "show", "5");
      assert.equal(binary.bytes, { length: 5, hexHead: "ff 1b 5b 32 4a", base64: "/xtbMko=" });
      const escape = await dlq(cluster, "show", "5");
      assert.not.ok(escape.out.includes("\x1b[2J"), "nothing of a stranger's reaches the terminal as it is");
      await cluster.jsm.streams.deleteMessage("LIVEPEER_EVENTS", 2);
      assert.is((await json(cluster, "show", "1")).inStream, false);
    }));

  test("has the bytes of a letter that had no room for them out of its row", () =>
    withServedCluster({}, async (cluster) => {
      const limit = cluster.nc.info!.max_payload;
      const large = bytesOf("x".repeat(limit - 100));
      await cluster.publish("org", [large]);
      await cluster.process();
      const [letter] = await cluster.messages("LIVEPEER_DLQ");
      assert.is(letter!.data.length, 0, "there was no room");
      assert.is((await json(cluster, "show", "1")).bytes.text.length, large.length);
    }));
});

describe("latecomer dlq republish", (test) => {
  test("changes nothing without --yes, and refuses what would not be accepted", () =>
    withLetters(async (cluster) => {
      const stored = await cluster.storedCount();
      const before = await kept(cluster);
      const dry = await json(cluster, "republish", "--reason", "missing_field", "--type", "ai_stream_status", ...FIX);
      assert.equal([dry.dryRun, dry.publishable, dry.published, dry.refused], [true, 2, 0, 0]);
      for (
        const [args, why] of [
          [["--seq", "1"], /would be rejected: missing_field, data.pipeline/],
          [["--seq", "1", "--set", "type=webrtc_stats"], /would be ignored: unsupported_event_family/],
          [["--seq", "4", "--set", "type=x"], /no member can be set: not valid JSON/],
          [["--seq", "3", ...FIX], /data.type/],
        ] as const
      ) {
        const { code, out } = await dlq(cluster, "republish", ...args, "--yes", "--json");
        assert.is(code, 1, out);
        const report = JSON.parse(out);
        assert.equal([report.published, report.refused], [0, 1]);
        assert.match(report.letters[0].why, why);
      }
      assert.equal([await cluster.storedCount(), await kept(cluster)], [stored, before]);
    }));

  test("publishes mended events, after which their letters are recovered and left alone", () =>
    withLetters(async (cluster) => {
      const selection = ["republish", "--reason", "missing_field", "--type", "ai_stream_status", ...FIX, "--yes"];
      assert.is((await json(cluster, ...selection)).published, 2);
      assert.is(await stateOf(cluster, 1), "republished");
      await cluster.process();
      const shown = await json(cluster, "show", "1");
      assert.equal([shown.state, shown.acceptedAs.uid], ["recovered", shown.republishedAs[0]]);
      const { rows } = await cluster.digest("org");
      assert.is(rows, 3, "the two samples have their rows");
      const stored = await cluster.storedCount();
      const again = await json(cluster, ...selection);
      assert.equal([again.published, again.recovered], [0, 2]);
      assert.is(await cluster.storedCount(), stored);
      const { groups } = await json(cluster, "list", "--type", "ai_stream_status");
      assert.equal([groups[0].recovered, groups[0].waiting, groups[0].examples], [2, 0, []]);
      assert.is(
        (await cluster.messages("LIVEPEER_DLQ")).filter(({ data }) => data.length > 0).length,
        5,
        "letters stay",
      );
      const range = await resolveRange(await openEventStream(cluster.nc), undefined, undefined);
      const account = await verify(cluster.config, cluster.nc, cluster.clickhouse, range, true, 10);
      assert.equal(account.findings, [], "receipts are no letters to those who account for letters");
    }));

  test("leaves the same rows when it is done again before anything is processed, within the window and after it", () =>
    withLetters(async (cluster) => {
      const selection = ["republish", "--seq", "1", "--seq", "2", ...FIX, "--yes"];
      const stored = await cluster.storedCount();
      await json(cluster, ...selection);
      await json(cluster, ...selection);
      assert.is(await cluster.storedCount(), stored + 2, "the server drops the repeat within its window");
      await cluster.process();
      const once = await digestsOf(cluster);
      // As it is long after: the server has forgotten the ids, and the letters look as if they waited.
      const { config } = await cluster.jsm.streams.info("LIVEPEER_EVENTS");
      await cluster.jsm.streams.update("LIVEPEER_EVENTS", { ...config, duplicate_window: nanos(100) });
      await cluster.clickhouse.command(
        "ALTER TABLE raw_streaming_events DELETE WHERE stream_sequence > 6 SETTINGS mutations_sync = 2",
      );
      await new Promise((resolve) => setTimeout(resolve, 300));
      assert.is((await json(cluster, ...selection)).published, 2);
      assert.is(await cluster.storedCount(), stored + 4, "now they arrive");
      await cluster.process();
      assert.equal(await digestsOf(cluster), once);
    }));

  test("publishes other bytes in the place of a letter's, and remembers it of a letter that has no id", () =>
    withLetters((cluster) =>
      inFolder(async (folder) => {
        const file = join(folder, "fixed.json");
        writeFileSync(file, JSON.stringify(statusWire({}, { id: "c" })));
        assert.is((await json(cluster, "republish", "--seq", "4", "--from", file, "--yes")).published, 1);
        await cluster.process();
        assert.is(await stateOf(cluster, 4), "recovered");
        assert.is(await stateOf(cluster, 5), "waiting");
        const { groups } = await json(cluster, "list", "--reason", "json_parse_error", "--source", "org");
        assert.equal([groups[0].recovered, groups[0].waiting], [1, 0]);
      })
    ));

  test("takes an event that its publisher sent again, mended, for the recovery of its letter", () =>
    withLetters(async (cluster) => {
      await cluster.publish("org", [bytesOf(statusWire({}, { id: "a" })), bytesOf(statusWire({}, { id: "t1" }))]);
      await cluster.publish("an other", [bytesOf(statusWire({}, { id: "b" }))]);
      await cluster.process();
      assert.equal(
        [await stateOf(cluster, 1), await stateOf(cluster, 2), await stateOf(cluster, 3)],
        ["recovered", "waiting", "waiting"],
        "neither another source nor another type will do",
      );
    }));

  test("puts a capability message where it belongs that came on the subject of another type", () =>
    withServedCluster({}, async (cluster) => {
      const sample = bytesOf(statusWire());
      await cluster.publish("org", [sample]);
      const snapshot = bytesOf(capabilitiesWire());
      await cluster.nc.jetstream().publish("events.org.ai_stream_status.0", snapshot);
      await cluster.process();
      // As it is without the snapshot, for a replay would not find it there.
      const compared = async () => {
        const args = ["replay", "--from-seq", "1", "--compare", "--json"];
        const { code, out, err } = await inProcess(registerReplay, environmentOf(cluster), args);
        assert.is(code, 0, out + err);
      };
      await compared();
      assert.equal((await json(cluster, "list")).groups.map((one: Json) => [one.reason, one.type]), [
        ["wrong_subject", "network_capabilities"],
      ]);
      assert.is((await json(cluster, "republish", "--reason", "wrong_subject", "--yes")).published, 1);
      await cluster.process();
      assert.is(await stateOf(cluster, 1), "recovered");
      assert.is(await cluster.count("SELECT count() FROM fact_stream_status_samples_current WHERE is_attributed"), 1);
      await compared();
    }));

  test("publishes an event from the future once its time has come", () =>
    withServedCluster({}, async (cluster) => {
      const at = Date.now() + 3_600_000 + 2_000;
      await cluster.publish("org", [bytesOf(statusWire({}, { id: "f", timestamp: at }))]);
      await cluster.process();
      assert.is((await json(cluster, "show", "1")).reason, "time_in_future");
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, at - 3_600_000 - Date.now() + 50)));
      assert.is((await json(cluster, "show", "1")).decodesNow.outcome, "accepted");
      assert.is((await json(cluster, "republish", "--seq", "1", "--yes")).published, 1);
      assert.ok(SENT_MS < at);
    }));
});

describe("latecomer dlq's errors", (test) => {
  test("end with 2 on wrong usage and unknown letters", () =>
    withLetters(async (cluster) => {
      const wrong: [string[], RegExp][] = [
        [["republish"], /name the letters/],
        [["republish", "--yes", ...FIX], /name the letters/],
        [["republish", "--seq", "1", "--set", "x"], /"x" sets nothing/],
        [["republish", "--seq", "1", ...FIX, "--from", "none"], /choose one/],
        [["republish", "--reason", "missing_field", "--from", "none"], /one --seq/],
        [["republish", "--seq", "1", "--from", "/none"], /cannot read/],
        [["republish", "--seq", "99"], /holds no letter 99/],
        [["show", "99"], /holds no letter 99/],
        [["show", "0"], /holds no letter 0/],
        [["show", "x"], /no whole number/],
      ];
      for (const [args, expected] of wrong) {
        const { code, err } = await dlq(cluster, ...args);
        assert.is(code, 2, `${args.join(" ")}: ${err}`);
        assert.match(err, expected);
      }
    }));

  test("end with 3 on servers that do not answer or refuse, and on an installation that was never made", () =>
    inFolder(async (folder) => {
      const nats = await startNatsServer({ folder: join(folder, "nats") });
      const locked = await startNatsServer({
        folder: join(folder, "locked"),
        configText: 'authorization: { user: "a", password: "b" }',
      });
      try {
        const chdb = `chdb:${join(folder, "clickhouse")}`;
        const cases: [Record<string, string>, RegExp][] = [
          [{ NATS_URL: "nats://127.0.0.1:9", CLICKHOUSE_URL: chdb }, /cannot connect to NATS/],
          [{ NATS_URL: locked.url, CLICKHOUSE_URL: chdb }, /refuses these credentials/],
          [{ NATS_URL: nats.url, CLICKHOUSE_URL: "http://127.0.0.1:9" }, /127\.0\.0\.1:9/],
          [{ NATS_URL: nats.url, CLICKHOUSE_URL: chdb }, /latecomer init|livepeer_analytics/],
        ];
        for (const args of [["list"], ["show", "1"], ["republish", "--seq", "1"]]) {
          for (const [env, expected] of cases) {
            const { code, err } = await inProcess(registerDlq, env, ["dlq", ...args]);
            assert.match(err, expected);
            assert.is(code, 3, `${args.join(" ")} with ${JSON.stringify(env)}: ${err}`);
          }
        }
      } finally {
        await nats.kill();
        await locked.kill();
      }
    }));
});
