/** simulate over real servers: with every fault at once its load comes to the rows of the same load in order. */
import * as assert from "uvu/assert";
import { registerSimulate } from "../../src/cli/simulate.ts";
import { digests } from "../../src/clickhouse/digest.ts";
import { type Cluster, type Ended, withServedCluster } from "../helpers/cluster.ts";
import { environmentOf, inProcess } from "../helpers/command.ts";
import { describe } from "../helpers/suite.ts";

const SIZE = ["--count", "4000", "--nodes", "20", "--sessions", "20", "--start", "2026-03-01T00:00:00Z"];
const FAULTS = ["--late", "0.2", "--duplicates", "0.1", "--malformed", "0.02"];

function simulate(env: Record<string, string>, ...args: string[]): Promise<Ended> {
  return inProcess(registerSimulate, env, ["simulate", ...args]);
}

async function report(cluster: Cluster, ...args: string[]): Promise<Record<string, number>> {
  const { code, out, err } = await simulate(environmentOf(cluster), ...args, "--json");
  assert.is(code, 0, err);
  return JSON.parse(out);
}

describe("latecomer simulate", (test) => {
  test("with every fault at once comes to the digests of the same load in order, and every message is accounted for", () =>
    withServedCluster({ allowedLatenessMs: "1h" }, async (cluster) => {
      const orderly = await report(cluster, ...SIZE, "--source", "orderly");
      assert.equal([orderly.published, orderly.events, orderly.late], [4_000, 4_000, 0]);
      const faulty = await report(cluster, ...SIZE, ...FAULTS, "--source", "faulty");
      const { published, duplicates, malformed, late } = faulty;
      assert.is(published, 4_000 + duplicates! + malformed!);
      assert.ok(duplicates! > 300 && malformed! > 40 && late! > 700);
      assert.equal(faulty.types, orderly.types);
      assert.is(await cluster.storedCount(), 4_000 + published!);
      const { counts } = await cluster.process();
      assert.is(counts.get("rejected"), malformed);
      assert.is(await cluster.storedCount("LIVEPEER_DLQ"), malformed);
      const of = (source: string) => digests(cluster.clickhouse, cluster.config.database, { source });
      const expected = await of("orderly");
      assert.equal(await of("faulty"), expected);
      for (const { table, rows } of expected) assert.ok(rows > 0, table);
      const attributed = "SELECT countIf(is_attributed) / count() FROM fact_stream_status_samples_current";
      assert.ok(await cluster.count(attributed) > 0.9, "its nodes are known");
    }));

  test("publishes the traffic of testers, and no faster than it is told", () =>
    withServedCluster({}, async (cluster) => {
      const rated = await report(
        cluster,
        "--topic",
        "streaming_events",
        "--count",
        "600",
        "--rate",
        "300",
        "--sessions",
        "5",
      );
      assert.is(rated.published, 600);
      assert.ok(rated.perSecond! > 0 && rated.perSecond! <= 330, `${rated.perSecond}`);
      const { counts } = await cluster.process();
      assert.is(counts.get("rejected") ?? 0, 0);
      const failed = "SELECT countIf(trace_type = 'gateway_no_orchestrators_available') FROM raw_stream_trace_events";
      assert.ok(await cluster.count(failed) > 15);
    }));

  test("ends with 2 on wrong usage, and with 3 on a server that does not answer", async () => {
    const wrong: [string[], RegExp][] = [
      [["--count", "1", "--duration", "1m"], /choose one/],
      [["--duration", "soon"], /"soon" is no duration/],
      [["--duration", "99999999999999999999d"], /is no duration/],
      [["--nodes", "0"], /too few/],
      [["--late", "2"], /no probability/],
      [["--seed", "x"], /no whole number/],
      [["--count", "99999999999999999999"], /"99999999999999999999" is too large: 9007199254740991 at most/],
      [["--count", "9007199254740991"], /--count is too large: the first event would lie before 1970/],
      [["--start", "someday"], /no time/],
      [["--topic", "none"], /"none" is no topic: network_events or streaming_events/],
    ];
    for (const [args, expected] of wrong) {
      const { code, err } = await simulate({}, ...args);
      assert.is(code, 2, args.join(" "));
      assert.match(err, expected);
    }
    assert.is((await simulate({ NATS_URL: "nats://127.0.0.1:9" }, "--count", "1")).code, 3);
  });

  test("ends with 3 on a server without streams, saying what makes them", () =>
    withServedCluster({}, async (cluster) => {
      await cluster.jsm.streams.delete("LIVEPEER_EVENTS");
      const { code, err } = await simulate(environmentOf(cluster), "--count", "1");
      assert.match(err, /latecomer init/);
      assert.is(code, 3, "the server may have it again");
    }));
});
