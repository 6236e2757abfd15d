/** Fixtures out of one installation and into another, with real servers: nothing of them may be lost on the way. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { registerExportFixtures } from "../../src/cli/export-fixtures.ts";
import { registerLoadFixtures } from "../../src/cli/load-fixtures.ts";
import { digests } from "../../src/clickhouse/digest.ts";
import { sessionMessages } from "../../src/clickhouse/fixtures.ts";
import { SESSION_TYPES } from "../../src/core/route.ts";
import { type Manifest, sha256 } from "../../src/fixtures/manifest.ts";
import { seeded, shuffled, withDuplicates } from "../../src/runtime/shuffle.ts";
import {
  type Cluster,
  encode,
  type Ended,
  eventually,
  inFolder,
  productionEvents,
  startCommand,
  typeOf,
  withServedCluster,
} from "../helpers/cluster.ts";
import { environmentOf, inProcess } from "../helpers/command.ts";
import { describe } from "../helpers/suite.ts";

const SETTINGS = { allowedLatenessMs: "2000h" };
const WINDOW = ["--from", "2026-01-01", "--to", "2026-03-01"];

/** The two orders, each with the flag that asks for it. */
const MODES = [["stream"], ["ordered", "--capability-precede-session"]] as const;

/** Production's events with copies, in an order that no sorting gives, and what no fixture takes along. */
function load(): Uint8Array[] {
  const random = seeded(11);
  const strange = ["{", '{"type":"webrtc_stats","timestamp":1772052191605,"data":{}}'].map(encode);
  return shuffled([...withDuplicates(productionEvents(), 0.2, random), ...strange], random);
}

function exportFixtures(cluster: Cluster, out: string, ...flags: string[]) {
  return inProcess(registerExportFixtures, environmentOf(cluster), [
    "export-fixtures",
    ...WINDOW,
    "--out",
    out,
    ...flags,
  ]);
}

function loadFixtures(cluster: Cluster, folder: string, ...flags: string[]) {
  return inProcess(registerLoadFixtures, environmentOf(cluster), ["load-fixtures", folder, ...flags]);
}

/**
 * Runs with a way to ClickHouse that meets the question for payloads, which come when the first file was begun, with an
 * error or with silence.
 */
async function withoutPayloads(
  to: string,
  meet: "error" | "silence",
  use: (url: string, met: () => boolean) => Promise<void>,
) {
  let isMet = false;
  const server = createServer(async (request, response) => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    if (!/ payload FROM/.test(body.toString())) {
      const answer = await fetch(new URL(request.url!, to), { method: request.method!, body });
      response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(await answer.text());
      return;
    }
    isMet = true;
    if (meet === "error") response.writeHead(500).end("Code: 241. DB::Exception: no memory. (MEMORY_LIMIT_EXCEEDED)");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, () => isMet);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

/** The files of a folder, each with the sum of its bytes. */
function contentOf(folder: string): Record<string, string> {
  const names = readdirSync(folder).sort();
  return Object.fromEntries(names.map((name) => [name, sha256(readFileSync(join(folder, name)))]));
}

/** The requests of each scenario. */
function sessionsOf({ scenarios }: Manifest): Record<string, string[]> {
  return Object.fromEntries(
    scenarios.map(({ scenario, sessions }) => [scenario, sessions.map((one) => one.request_id)]),
  );
}

function json(ended: Ended): unknown {
  assert.is(ended.code, 0, ended.err);
  return JSON.parse(ended.out);
}

function digestsOf(cluster: Cluster, source: string) {
  return digests(cluster.clickhouse, cluster.config.database, { source });
}

/** The bytes of a source's messages in stream order, those that belong in fixtures. */
async function delivered(cluster: Cluster, source: string): Promise<string[]> {
  const messages = (await cluster.messages("LIVEPEER_EVENTS")).filter(({ subject }) =>
    subject.startsWith(`events.${source}.`)
  );
  const texts = messages.map(({ data }) => new TextDecoder().decode(data)).filter((text) => text.length > 1);
  return texts.filter((text) => {
    const type = typeOf(encode(text));
    return SESSION_TYPES.has(type) || type === "network_capabilities";
  });
}

describe("fixtures", (test) => {
  test("are what the stream delivered, and give the same facts in another installation, in either order", () =>
    inFolder(async (folder) => {
      const out = (name: string) => join(folder, name);
      const far = ["--capability-window", "24h"];
      const first: { digests?: unknown; messages?: string[] } = {};
      await withServedCluster(SETTINGS, async (cluster) => {
        await cluster.publish("org", load());
        await cluster.process();
        [first.digests, first.messages] = [await digestsOf(cluster, "org"), await delivered(cluster, "org")];
        const manifest = json(await exportFixtures(cluster, out("stream"), ...far, "--json")) as Manifest;
        assert.equal(sessionsOf(manifest), {
          scenario_1_clean_success_no_swap_fps_gt_12: ["ebeb78b7", "db936fab"],
          scenario_2_no_orchestrator_then_closed: ["a06463a9"],
          scenario_3_success_with_swap: ["bd1cd871"],
          // One was told by an error alone that there is no orchestrator; the other's mean output is 8 fps.
          scenario_5_out_of_category_baseline: ["6806f180", "c40084e7"],
        });
        assert.equal(JSON.parse(readFileSync(join(out("stream"), "manifest.json"), "utf8")), manifest);
        // One that shows several scenarios, with so many others that one query does not name all.
        const { stream_id: streamId, request_id: requestId } = manifest.scenarios[0]!.sessions[0]!;
        const others = Array.from({ length: 40 }, (_, n) => ({ streamId: "x".repeat(200), requestId: String(n) }));
        const twice = [{ streamId, requestId }, ...others, { streamId, requestId }];
        const once = await sessionMessages(cluster.clickhouse, "org", [{ streamId, requestId }]);
        assert.equal(await sessionMessages(cluster.clickhouse, "org", twice), once, "each message once");
        const ordered = await exportFixtures(cluster, out("ordered"), ...far, "--capability-precede-session");
        assert.is(ordered.code, 0, ordered.err);
        assert.match(ordered.out, /scenario_2_no_orchestrator_then_closed +1 +1 +a06463a9/);
        for (const [again, ...flags] of MODES) {
          assert.is((await exportFixtures(cluster, out(`${again}-again`), ...far, ...flags)).code, 0);
          assert.equal(contentOf(out(`${again}-again`)), contentOf(out(again)), `${again}, twice`);
        }
      });
      await withServedCluster(SETTINGS, async (cluster) => {
        const loaded = json(await loadFixtures(cluster, out("stream"), "--source", "stream", "--json"));
        assert.equal(loaded, { published: first.messages!.length, source: "stream", order: "stream", shiftMs: 0 });
        assert.is((await loadFixtures(cluster, out("ordered"), "--source", "ordered")).code, 0);
        await cluster.process();
        assert.equal(await delivered(cluster, "stream"), first.messages, "every byte, every copy, in its order");
        const ordered = await delivered(cluster, "ordered");
        const isSnapshot = (text: string) => typeOf(encode(text)) === "network_capabilities";
        const rest = first.messages!.filter((text) => !isSnapshot(text));
        assert.equal(ordered, [...first.messages!.filter(isSnapshot), ...rest], "the same, capabilities first");
        assert.equal(await digestsOf(cluster, "stream"), first.digests);
        assert.equal(await digestsOf(cluster, "ordered"), first.digests);
        for (const [source, ...flags] of MODES) {
          const again = await exportFixtures(cluster, out(`${source}-loaded`), ...far, "--source", source, ...flags);
          assert.is(again.code, 0, again.err);
          assert.equal(
            contentOf(out(`${source}-loaded`)),
            contentOf(out(source)),
            `${source}, from where it was loaded`,
          );
        }
        const unnamed = await exportFixtures(cluster, out("none"));
        assert.equal([unnamed.code, /ordered, stream/.test(unnamed.err)], [2, true], unnamed.err);
      });
    }));

  test("can be moved to the present, every instant by the same whole hours", () =>
    withServedCluster(SETTINGS, (cluster) =>
      inFolder(async (folder) => {
        await cluster.publish("then", productionEvents());
        await cluster.process();
        const out = join(folder, "out");
        // What the rows rest on is taken wherever it lies, so they come out the same.
        json(await exportFixtures(cluster, out, "--capability-window", "0s", "--json"));
        const loaded = json(await loadFixtures(cluster, out, "--source", "now", "--shift-to-now", "--json"));
        const { shiftMs } = loaded as { shiftMs: number };
        assert.is(shiftMs % 3_600_000, 0);
        await cluster.process();
        const newest = await cluster.count(
          `SELECT toUnixTimestamp64Milli(max(event_timestamp)) FROM raw_streaming_events WHERE source = 'now'`,
        );
        assert.ok(newest <= Date.now() && newest > Date.now() - 3_660_000, `${newest} is within the last hour`);
        const times = (source: string, back: number) =>
          cluster.rows(
            `SELECT workflow_session_id, startup_success, startup_excused, error_count, status_sample_count, restart_seen,
                    model_id, gpu_id, startup_time_ms, e2e_latency_ms, length(segments.start_ts) AS segments,
                    toUnixTimestamp64Milli(session_start_ts) - {back:Int64} AS start,
                    toUnixTimestamp64Milli(session_end_ts) - {back:Int64} AS end,
                    toUnixTimestamp64Milli(selected_snapshot_ts) - {back:Int64} AS snapshot,
                    (SELECT groupArray(toUnixTimestamp64Milli(sample_ts) - {back:Int64})
                     FROM (SELECT sample_ts FROM fact_stream_status_samples_current WHERE source = {source:String}
                           ORDER BY sample_ts)) AS samples,
                    (SELECT groupArray((toUnixTimestamp64Milli(start_time) - {back:Int64},
                                        toUnixTimestamp64Milli(last_error_time) - {back:Int64}))
                     FROM (SELECT * FROM raw_ai_stream_status FINAL WHERE source = {source:String}
                           ORDER BY event_timestamp)) AS typed
             FROM fact_workflow_sessions_current WHERE source = {source:String} ORDER BY start, end`,
            { source, back: String(back) },
          );
        const [then, now] = [await times("then", 0), await times("now", shiftMs)];
        assert.is(now.length, 6);
        assert.equal(now, then);
      })));

  test("leave nothing half written when they fail, or are ended by a signal", () =>
    withServedCluster(SETTINGS, (cluster) =>
      inFolder(async (folder) => {
        await cluster.publish("org", productionEvents());
        await cluster.process();
        const call = ["export-fixtures", ...WINDOW, "--out", join(folder, "out")];
        const { clickhouseUrl } = cluster.config;
        await withoutPayloads(clickhouseUrl, "error", async (url) => {
          const { code, err } = await inProcess(registerExportFixtures, { CLICKHOUSE_URL: url }, call);
          assert.is(code, 3, err);
          assert.equal(readdirSync(join(folder, "out")), []);
        });
        await withoutPayloads(clickhouseUrl, "silence", async (url, met) => {
          const command = startCommand(call, { cwd: folder, env: { CLICKHOUSE_URL: url } });
          try {
            await eventually("the first file was begun", met);
            assert.is(readdirSync(join(folder, "out")).length, 1);
            command.kill("SIGTERM");
            assert.is((await command.ended).code, 143);
            assert.equal(readdirSync(join(folder, "out")), []);
          } finally {
            command.kill("SIGKILL");
          }
        });
      })));

  test("are refused when they are not what the manifest says, and where there is nothing to export", () =>
    withServedCluster(SETTINGS, (cluster) =>
      inFolder(async (folder) => {
        const out = join(folder, "out");
        const ends = async (ended: Promise<Ended>, code: number, says: RegExp) => {
          const { code: found, err } = await ended;
          assert.is(found, code, err);
          assert.match(err, says);
        };
        await ends(exportFixtures(cluster, out), 1, /there is no session from 2026-01-01T00:00:00.000Z/);
        await ends(exportFixtures(cluster, out, "--source", "none"), 1, /no session of source none/);
        await ends(exportFixtures(cluster, out, "--from", "someday"), 2, /"someday" is no time/);
        await ends(exportFixtures(cluster, out, "--from", "2026-04-01"), 2, /--from must be before --to/);
        await ends(exportFixtures(cluster, out, "--capability-window", "2"), 2, /"2" is no duration/);
        await ends(loadFixtures(cluster, out), 2, /cannot read .*manifest\.json/);

        await cluster.publish("org", productionEvents());
        await cluster.process();
        json(await exportFixtures(cluster, out, "--json"));
        await ends(exportFixtures(cluster, out), 2, /is not empty/);
        const stored = await cluster.storedCount();
        const name = "scenario_2_no_orchestrator_then_closed.jsonl";
        const [path, before] = [join(out, name), readFileSync(join(out, name), "utf8")];
        writeFileSync(path, before.replace("a06463a9", "a06463a8"));
        await ends(loadFixtures(cluster, out), 1, /is not the file of the manifest: its SHA-256 is/);
        writeFileSync(path, before);
        const manifest = readFileSync(join(out, "manifest.json"), "utf8");
        const broken: [from: string | RegExp, to: string, says: RegExp][] = [
          ['"format": 1', '"format": 2', /not in format 1: format/],
          [/"file": "capabilities.jsonl",/, '"file": "../capabilities.jsonl",', /not in format 1: files\.0\.file/],
          [/"places": "(\d+)/, '"places": "$1,$1', /lines, its places are others|taken twice/],
          [/"places": "\d+/, '"places": "100000', /place \d+ is (empty|taken twice)|its places are others/],
          ["{", "", /no JSON/],
        ];
        for (const [from, to, says] of broken) {
          const changed = manifest.replace(from, to);
          assert.not.equal(changed, manifest, String(from));
          writeFileSync(join(out, "manifest.json"), changed);
          await ends(loadFixtures(cluster, out), 2, says);
        }
        assert.is(await cluster.storedCount(), stored, "nothing was published");
      })));
});
