/**
 * A processor in a process of its own, as a pod runs it: `node worker.js CONFIG`, forked, CONFIG as JSON. It says `ready`
 * when it processes, and then answers each message with what it has cost so far; `drained` only once it has nothing to do.
 *
 * A latency runs from when the stream stored a sample to when the row with its attribution is stored, and so queryable.
 */
import { monitorEventLoopDelay, PerformanceObserver } from "node:perf_hooks";
import { type ClickHouse, openClickHouse } from "../../src/clickhouse/client.ts";
import { startProcessor } from "../../src/cli/run.ts";
import type { Config } from "../../src/config.ts";
import { connectNats } from "../../src/nats/connection.ts";
import { keepRowsYoung } from "../../src/runtime/heap.ts";
import { openLog } from "../../src/runtime/log.ts";
import { peakRssMb } from "./used.ts";

export interface WorkerCost {
  readonly cpuMicros: number;
  /** The most memory that the process has had, in MiB, what it has now, and what of that is heap and buffers. */
  readonly rssMb: number;
  readonly rssNowMb: number;
  readonly heapMb: number;
  readonly externalMb: number;
  readonly messages: number;
  readonly open: number;
  /** Of events since the last answer, in milliseconds. */
  readonly latencyMs: { readonly p50: number; readonly p99: number; readonly max: number };
  readonly gcMs: number;
  readonly loopDelayMs: { readonly p99: number; readonly max: number };
}

/** Milliseconds since the epoch at which the process began. */
export interface Ready {
  readonly secondsToReady: number;
}

const config = JSON.parse(process.argv[2]!) as Config;
/** To note when each sample is stored and there costs several microseconds an event. */
const isTimed = process.argv[3] === "timed";
let latencies: number[] = [];
let messages = 0;
let gcMs = 0;
new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) gcMs += duration;
}).observe({ entryTypes: ["gc"] });
const delay = monitorEventLoopDelay({ resolution: 5 });
delay.enable();

/** Notes when the stream stored each sample, and when the row with its attribution is there for the first time. */
function timed(clickhouse: ClickHouse): ClickHouse {
  const storedAt = new Map<string, number>();
  return {
    ...clickhouse,
    prepare(table, columns) {
      const insert = clickhouse.prepare(table, columns);
      const uids: string[] = [];
      return {
        get rowCount() {
          return insert.rowCount;
        },
        add(rows) {
          insert.add(rows);
          if (table === "raw_streaming_events") {
            for (const row of rows as readonly Record<string, string | number>[]) {
              if (row.type === "ai_stream_status") storedAt.set(row.uid as string, row.stream_ts as number);
            }
            messages += rows.length;
          } else if (table === "fact_stream_status_samples") {
            for (const { source_event_uid: uid } of rows as readonly Record<string, string>[]) uids.push(uid!);
          }
        },
        async run() {
          await insert.run();
          const now = Date.now();
          for (const uid of uids) {
            const at = storedAt.get(uid);
            if (at !== undefined) latencies.push(now - at);
            storedAt.delete(uid);
          }
        },
      };
    },
  };
}

function cost(): WorkerCost {
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed, external } = process.memoryUsage();
  const sorted = Float64Array.from(latencies).sort();
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  latencies = [];
  return {
    cpuMicros: user + system,
    rssMb: peakRssMb(),
    rssNowMb: Math.round(rss / 2 ** 20),
    heapMb: Math.round(heapUsed / 2 ** 20),
    externalMb: Math.round(external / 2 ** 20),
    messages,
    open: processor.openCount,
    latencyMs: { p50: at(0.5), p99: at(0.99), max: at(1) },
    gcMs: Math.round(gcMs),
    loopDelayMs: { p99: Math.round(delay.percentile(99) / 1e6), max: Math.round(delay.max / 1e6) },
  };
}

keepRowsYoung();
const nc = await connectNats(config);
const clickhouse = await openClickHouse(config.clickhouseUrl, { database: config.database });
const processor = await startProcessor(config, nc, isTimed ? timed(clickhouse) : clickhouse, openLog("error", false));
process.on("message", async (asked) => {
  if (asked === "drained") await processor.drained();
  if (asked === "stop") await processor.stop();
  process.send!(cost());
});
process.on("disconnect", () => process.exit(0));
process.send!({ secondsToReady: performance.now() / 1_000 });
