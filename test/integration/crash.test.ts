/**
 * The processor is killed at random moments of a run, and started again each time: nothing is lost, nothing counted
 * double, and the digest is that of a run which nobody disturbed.
 *
 * `LATECOMER_SOAK=1` makes the run long (30 kills, 50 000 events); `LATECOMER_SEED` repeats its moments.
 */
import process from "node:process";
import * as assert from "uvu/assert";
import { seeded } from "../../src/runtime/shuffle.ts";
import { productionLoad } from "../bench/load.ts";
import {
  type Cluster,
  type Command,
  eventually,
  latecomer,
  neverBack,
  pause,
  startCommand,
  typeOf,
  within,
  withServedCluster,
} from "../helpers/cluster.ts";
import { describe } from "../helpers/suite.ts";

const SOAK = process.env.LATECOMER_SOAK === "1";
const KILLS = SOAK ? 30 : 8;
const EVENTS = SOAK ? 50_000 : 10_000;
const SEED = Number(process.env.LATECOMER_SEED ?? Date.now() % 1_000_000);

/** A processor lives at most so long after its first line, warm-up and all. */
const LONGEST_LIFE_MS = SOAK ? 4_000 : 1_800;

/** Places by which a snapshot comes late: 30 s at a hundred events a second, within the allowed lateness. */
const LATEST = 3_000;
const SETTINGS = { allowedLatenessMs: "1m" };

const isSnapshot = (event: Uint8Array) => typeOf(event) === "network_capabilities";

/** The load with every second snapshot late, at random. */
function withLateSnapshots(events: readonly Uint8Array[], random: () => number): Uint8Array[] {
  let nth = 0;
  const places = events.map((event, at) => {
    const isLate = isSnapshot(event) && nth++ % 2 === 0;
    return { event, place: at + (isLate ? random() * LATEST : 0) };
  });
  return places.sort((a, b) => a.place - b.place).map(({ event }) => event);
}

/** What a processor of its own process is started with. */
function environmentOf(cluster: Cluster): Record<string, string> {
  return {
    NATS_URL: cluster.config.natsUrl,
    CLICKHOUSE_URL: cluster.config.clickhouseUrl,
    LATECOMER_ALLOWED_LATENESS: SETTINGS.allowedLatenessMs,
    LATECOMER_BATCH_ROWS: "100",
    // The same as its predecessor's: then it need not wait for the leases of the dead to expire.
    LATECOMER_NAME: "mortal",
  };
}

describe("a processor killed at random moments", (test) => {
  test(`${KILLS} times over ${EVENTS} events gives the digest of an undisturbed run, and every message once`, () =>
    withServedCluster(SETTINGS, async (cluster) => {
      console.log(`seed ${SEED}`);
      const random = seeded(SEED);
      const events = withLateSnapshots(productionLoad(EVENTS), random);
      const env = environmentOf(cluster);
      // Every version stays to be counted.
      await cluster.clickhouse.command("SYSTEM STOP MERGES fact_stream_status_samples");
      const watch = await cluster.watchCheckpoints();
      const archived = () => cluster.count("SELECT uniqExact(stream_sequence) FROM raw_streaming_events");
      const moments: string[] = [];
      let inTheMiddle = 0;
      let command: Command | undefined;
      try {
        for (let life = 0; life < KILLS; life++) {
          // Each life has a share of its own, so that there is something to do at every moment.
          const share = (of: number) => Math.floor(of * events.length / KILLS);
          command = startCommand(["run"], { cwd: cluster.folder, env });
          await cluster.publish("org", events.slice(share(life), share(life + 1)));
          await eventually("started", () => command!.written.err.includes('"starting"'));
          const ms = Math.round(random() * LONGEST_LIFE_MS);
          await pause(ms);
          command.kill("SIGKILL");
          assert.is((await within("killed", command.ended)).code, null, command.written.err);
          const [stored, due] = [await archived(), share(life + 1)];
          if (stored < due) inTheMiddle++;
          moments.push(`${ms} ms: ${stored} of ${due}`);
        }
        console.log(`killed after … with … archived: ${moments.join(", ")}`);
        assert.ok(inTheMiddle >= KILLS / 4, `only ${inTheMiddle} of ${KILLS} kills came in the middle of work`);
        const last = await latecomer(["run", "--until-drained", "--json"], { cwd: cluster.folder, env }, 180_000);
        assert.is(last.code, 0, last.err);
      } finally {
        command?.kill("SIGKILL");
      }
      watch.stop();
      neverBack(watch.seen);
      assert.is(await cluster.storedCount(), events.length);
      assert.equal(
        await cluster.rows(
          "SELECT count() AS n, uniqExact(stream_sequence) AS messages FROM raw_streaming_events FINAL",
        ),
        [{ n: String(events.length), messages: String(events.length) }],
        "every message is in the archive once",
      );
      assert.is(await cluster.storedCount("LIVEPEER_DLQ"), 0);
      await cluster.publish("calm", events);
      await cluster.process();
      const calm = await cluster.digest("calm");
      assert.is(calm.rows, events.filter((event) => typeOf(event) === "ai_stream_status").length);
      assert.equal(await cluster.digest("org"), calm);
      const corrected = await cluster.count(
        `SELECT count() FROM (SELECT source_event_uid FROM fact_stream_status_samples WHERE source = 'org'
         GROUP BY source_event_uid HAVING uniqExact(version) > 1)`,
      );
      assert.ok(corrected > 0, "late snapshots corrected rows");
      console.log(`${inTheMiddle} of ${KILLS} in the middle of work, ${corrected} of ${calm.rows} rows corrected`);
    }));
});
