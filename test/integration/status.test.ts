/** What a process tells of itself over HTTP, with real servers: when it is ready, and its metrics. */
import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as assert from "uvu/assert";
import { REASONS } from "../../src/core/decode.ts";
import { freePort, startNatsServer } from "../../src/local/nats-server.ts";
import { COUNTED } from "../../src/runtime/metrics.ts";
import {
  type Cluster,
  type Command,
  encode,
  eventually,
  latecomer,
  startCommand,
  withCluster,
  within,
  withServedCluster,
} from "../helpers/cluster.ts";
import { bytesOf, node, snapshot, status, trace, type Wire } from "../helpers/events.ts";
import { type Line, withLine } from "../helpers/line.ts";
import { documentedMetrics, documentedQuantiles, labelsOn } from "../helpers/prometheus.ts";
import { describe } from "../helpers/suite.ts";

interface Pages {
  readonly command: Command;
  ready(): Promise<{ status: number; obstacles: string[] }>;
  alive(): Promise<number>;
  metrics(): Promise<string>;
  /** The value of one time series, undefined when it is not there. */
  value(series: string): Promise<number | undefined>;
}

/** Runs `latecomer run` as a process, over these places, until `use` has ended. */
async function withRun(
  cluster: Cluster,
  places: { natsUrl?: string; clickhouseUrl?: string },
  use: (pages: Pages) => Promise<void>,
): Promise<void> {
  const port = await freePort();
  const { natsUrl, clickhouseUrl } = { ...cluster.config, ...places };
  const command = startCommand(["run"], {
    cwd: cluster.folder,
    env: { NATS_URL: natsUrl, CLICKHOUSE_URL: clickhouseUrl, LATECOMER_HTTP_PORT: String(port) },
  });
  const get = (page: string) =>
    fetch(`http://127.0.0.1:${port}${page}`, { signal: AbortSignal.timeout(5_000) }).catch(() => undefined);
  const metrics = async () => await (await get("/metrics"))?.text() ?? "";
  try {
    await use({
      command,
      ready: async () => {
        const response = await get("/readyz");
        const body = await response?.json() as { obstacles: string[] } | undefined;
        return { status: response?.status ?? 0, obstacles: body?.obstacles ?? [] };
      },
      alive: async () => (await get("/healthz"))?.status ?? 0,
      metrics,
      value: async (series) => {
        const line = (await metrics()).split("\n").find((one) => one.startsWith(`${series} `));
        return line === undefined ? undefined : Number(line.slice(series.length + 1));
      },
    });
  } finally {
    command.kill("SIGKILL");
    await command.ended;
  }
}

const isReady = (pages: Pages) => eventually("ready", async () => (await pages.ready()).status === 200, 30_000);

const send = (cluster: Cluster, events: readonly Wire[]) =>
  cluster.publish("org", events.map(({ envelope }) => bytesOf(envelope)));

const SESSION = { stream: "stream-1", request: "request-1" };

describe("a running process", (test) => {
  test("tells what it does: events, attribution, corrections, dead letters, lag, feeds, requests and the rollup", () =>
    withServedCluster({}, (cluster) =>
      withRun(cluster, {}, async (pages) => {
        await isReady(pages);
        assert.is(await pages.alive(), 200);
        assert.is(await pages.value(`latecomer_corrections_total`), 0);
        // One that appeared with its first letters would not have increased by them.
        for (const reason of Object.keys(REASONS)) {
          assert.is(await pages.value(`latecomer_dead_letters_total{reason="${reason}"}`), 0, reason);
        }
        const now = Date.now() - 120_000;
        const at = (ms: number) => now + ms;
        const sample = status({ ...SESSION, at: at(0), wallet: "0xhot", url: "https://node-a:8935" });
        await send(cluster, [sample]);
        const unattributed = 'latecomer_attribution_rows_total{fact="fact_stream_status_samples",result="no_snapshot"}';
        await eventually("unattributed", async () => await pages.value(unattributed) === 1, 10_000);
        await eventually("open", async () => await pages.value('latecomer_open_observations{kept="bucket"}') === 1);
        await send(cluster, [snapshot(at(1_000), node("0xcanonical", "model-a", ["GPU-1"]))]);
        await cluster.nc.jetstream().publish("events.org.ai_stream_status.0", encode("no JSON"));
        await cluster.nc.jetstream().publish(
          "events.org.made_up_1.0",
          encode(JSON.stringify({
            id: "x",
            type: "made_up_1",
            timestamp: String(now),
            data: {},
          })),
        );
        await send(cluster, [trace({ ...SESSION, type: "gateway_receive_stream_request", at: at(2_000) })]);
        await eventually("corrected", async () => await pages.value("latecomer_corrections_total") === 1, 10_000);
        await eventually("recomputed", async () =>
          (await pages.value("latecomer_minutes_recomputed_total"))! > 0, 20_000);
        const expected: Record<string, (value: number) => boolean> = {
          'latecomer_events_total{outcome="accepted",type="ai_stream_status"}': (n) =>
            n === 1,
          'latecomer_events_total{outcome="accepted",type="network_capabilities"}': (n) =>
            n === 1,
          'latecomer_events_total{outcome="ignored",type="other"}': (n) => n === 1,
          'latecomer_attribution_rows_total{fact="fact_stream_status_samples",result="attributed"}': (n) => n === 1,
          'latecomer_dead_letters_total{reason="json_parse_error"}': (n) => n === 1,
          "latecomer_correction_delay_seconds_count": (n) => n === 1,
          "latecomer_correction_delay_seconds_sum": (s) => s > 100 && s < 300,
          'latecomer_lag_messages{partition="0"}': (n) => n === 0,
          'latecomer_lag_seconds{partition="all"}': (s) => s === 0,
          'latecomer_snapshot_feed_delay_seconds{source="org"}': (s) => s > 100 && s < 300,
          "latecomer_sessions": (n) => n > 0,
          'latecomer_bucket_entries{bucket="capability_snapshots"}': (n) => n === 1,
          "latecomer_dirty_minutes": (n) => n === 0,
          'latecomer_insert_seconds_count{table="raw_streaming_events"}': (n) => n >= 3,
          'latecomer_rows_inserted_total{table="raw_streaming_events"}': (n) => n === 5,
          'latecomer_bucket_seconds_count{bucket="checkpoints",operation="put"}': (n) => n > 0,
          "latecomer_rollup_recompute_seconds_count": (n) => n > 0,
          "latecomer_ready": (n) => n === 1,
          'latecomer_dependency_up{dependency="nats"}': (n) => n === 1,
          "latecomer_generation": (n) => n >= 1,
          "process_resident_memory_bytes": (n) => n > 1 << 24,
        };
        for (const [series, holds] of Object.entries(expected)) {
          await eventually(series, async () => holds((await pages.value(series)) ?? NaN), 10_000);
        }
        const documented = documentedMetrics();
        const page = await pages.metrics();
        const shown = [...page.matchAll(/^# TYPE (\S+)/gm)].map(([_, name]) => name!).sort();
        const listed = [...documented.keys()].sort();
        assert.equal(listed, shown, "deploy/METRICS.md lists what the page shows, and nothing else");
        for (const [name, labels] of labelsOn(page)) {
          if (!name.startsWith("latecomer_")) continue;
          assert.equal([...labels].sort(), [...documented.get(name)!].sort(), `the labels of ${name}`);
        }
        // Beyond its greatest bound a histogram tells no quantile.
        const quantiles = documentedQuantiles();
        assert.ok(quantiles.size >= 3);
        for (const [name, least] of quantiles) {
          const bounds = [...page.matchAll(new RegExp(`^${name}_bucket\\{le="([\\d.]+)"`, "gm"))];
          assert.ok(Math.max(...bounds.map(([, le]) => Number(le))) > least, `${name} is never above ${least}`);
        }
      })));

  for (const mode of ["refuses", "hangs"] as const) {
    test(`is not ready while ClickHouse ${mode}, with nothing to do, and ready again afterwards; alive all the while`, () =>
      withServedCluster(
        {},
        (cluster) =>
          withLine(
            cluster.config.clickhouseUrl,
            (line) =>
              withRun(cluster, { clickhouseUrl: `http://127.0.0.1:${line.port}` }, async (pages) => {
                await isReady(pages);
                await spoil(line, mode);
                await eventually("not ready", async () => (await pages.ready()).status === 503, 15_000);
                assert.equal((await pages.ready()).obstacles, ["ClickHouse does not answer"]);
                assert.is(await pages.value('latecomer_dependency_up{dependency="clickhouse"}'), 0);
                assert.is(await pages.value("latecomer_ready"), 0);
                assert.is(await pages.alive(), 200);
                await mend(line, mode);
                await isReady(pages);
              }),
          ),
      ));
  }

  test("is not ready while NATS is away, and tells no lag that it does not know", () =>
    withServedCluster({}, (cluster) =>
      withRun(cluster, {}, async (pages) => {
        await isReady(pages);
        const lag = 'latecomer_lag_messages{partition="0"}';
        await eventually("lag is told", async () => await pages.value(lag) === 0);
        await cluster.nats.kill();
        await eventually("not ready", async () =>
          (await pages.ready()).obstacles.includes("NATS does not answer"), 20_000);
        await eventually("no lag", async () =>
          await pages.value(lag) === undefined, 20_000);
        assert.is(await pages.alive(), 200);
        const nats = await startNatsServer({ folder: join(cluster.folder, "nats"), port: cluster.nats.port });
        try {
          await isReady(pages);
        } finally {
          pages.command.kill("SIGKILL");
          await cluster.close();
          await nats.kill();
        }
      })));

  test("tells what waits: how many messages, and for how long the oldest has", () =>
    withServedCluster(
      {},
      (cluster) =>
        withLine(cluster.config.clickhouseUrl, (line) =>
          withRun(cluster, { clickhouseUrl: `http://127.0.0.1:${line.port}` }, async (pages) => {
            await isReady(pages);
            await spoil(line, "refuses");
            const sample = (n: number) =>
              status({ ...SESSION, id: `s${n}`, at: Date.now() - 60_000 + n });
            await send(cluster, [1, 2, 3].map(sample));
            await eventually("three wait", async () =>
              await pages.value('latecomer_lag_messages{partition="0"}') === 3);
            const age = async () =>
              (await pages.value('latecomer_lag_seconds{partition="0"}'))!;
            await eventually("for more than two seconds", async () => await age() > 2);
            const stalled = () => pages.value('latecomer_stalled{work="partitions"}');
            assert.is(await stalled(), 1);
            const inserts = 'latecomer_insert_seconds_count{table="raw_ai_stream_status"}';
            assert.ok((await pages.value(inserts))! > 0, "inserts that fail are timed");
            const rows = 'latecomer_rows_inserted_total{table="raw_ai_stream_status"}';
            assert.is(await pages.value(rows), 0);
            assert.ok((await pages.value("latecomer_attempts_failed_total"))! > 0);
            await mend(line, "refuses");
            await eventually("none waits", async () => await age() === 0, 20_000);
            assert.is(await pages.value(rows), 3);
            await eventually("nothing is held up", async () => await stalled() === 0);
          })),
    ));

  test("is not ready as soon as it is told to stop, drains, and ends", () =>
    withServedCluster(
      {},
      (cluster) =>
        withLine(cluster.config.clickhouseUrl, (line) =>
          withRun(cluster, { clickhouseUrl: `http://127.0.0.1:${line.port}` }, async (pages) => {
            await isReady(pages);
            await spoil(line, "hangs");
            await send(cluster, [status({ ...SESSION, at: Date.now() - 60_000 })]);
            const lag = 'latecomer_lag_messages{partition="0"}';
            await eventually("in hand", async () =>
              await pages.value(lag) === 1);
            pages.command.kill("SIGTERM");
            await eventually("told", async () => (await pages.ready()).obstacles[0] === "it is stopping", 2_000);
            assert.is((await pages.ready()).status, 503);
            await mend(line, "hangs");
            const { code, err } = await within("ended", pages.command.ended);
            assert.is(code, 0, err);
            assert.is((await cluster.checkpoint("0"))?.doneSeq, 1);
            assert.is(await cluster.count("SELECT count() FROM fact_stream_status_samples FINAL"), 1);
          })),
    ));

  test("refuses a port that another has, before it touches anything: exit 2, naming the setting", () =>
    withCluster({}, async (cluster) => {
      const port = await freePort();
      const other = createServer();
      await new Promise<void>((resolve) => other.listen(port, resolve));
      try {
        const env = { NATS_URL: cluster.config.natsUrl, LATECOMER_HTTP_PORT: String(port) };
        const { code, err } = await latecomer(["run"], { cwd: cluster.folder, env });
        assert.is(code, 2, err);
        assert.match(err, `LATECOMER_HTTP_PORT: cannot listen on port ${port}: another process has it`);
      } finally {
        other.close();
      }
    }));
});

describe("whatever is counted", (test) => {
  test("is a metric, and nothing is a metric that nobody counts", () => {
    const folder = fileURLToPath(new URL("../../src", import.meta.url));
    const counted = readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((file) => /^(core|runtime|clickhouse).*\.ts$/.test(file) && !file.endsWith("metrics.ts"))
      .flatMap((
        file,
      ) => [...readFileSync(join(folder, file), "utf8").matchAll(/count\((?:(?:this\.#)?counts, )?"(\w+)"/g)])
      .map(([_, name]) => name!);
    // Told by its kind, not by a literal.
    const names = [...new Set([...counted, "observations_evicted", "observations_starved"])].sort();
    assert.equal(names, Object.keys(COUNTED).sort());
  });
});

async function spoil(line: Line, how: "refuses" | "hangs"): Promise<void> {
  if (how === "refuses") await line.refuse();
  else line.mode = "hang";
}

async function mend(line: Line, how: "refuses" | "hangs"): Promise<void> {
  if (how === "refuses") await line.listen();
  else line.mode = "pass";
}
