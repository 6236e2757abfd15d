/** `latecomer explain` on a real stream and the real engine: what it says, from where, and what it ends with. */
import * as assert from "uvu/assert";
import { registerExplain } from "../../src/cli/explain.ts";
import { type Cluster, encode, type Ended, withServedCluster } from "../helpers/cluster.ts";
import { inProcess } from "../helpers/command.ts";
import { bytesOf, node, snapshot, status, TRACE, trace, URL, type Wire } from "../helpers/events.ts";
import { type Json, json } from "../helpers/replay.ts";
import { A, B, NODE_A, NODE_B, SD } from "../helpers/session-events.ts";
import { describe } from "../helpers/suite.ts";

const T = Date.UTC(2026, 0, 8, 12);

function run(cluster: Cluster, args: readonly string[], more: Record<string, string> = {}): Promise<Ended> {
  const { natsUrl, clickhouseUrl } = cluster.config;
  return inProcess(registerExplain, {
    NATS_URL: natsUrl,
    CLICKHOUSE_URL: clickhouseUrl,
    ...more,
  }, ["explain", ...args]);
}

async function explain(cluster: Cluster, ...args: string[]): Promise<Json> {
  return json(await run(cluster, [...args, "--json"]));
}

async function publish(cluster: Cluster, ...wires: Wire[]): Promise<void> {
  for (const { source, envelope } of wires) await cluster.publish(source, [bytesOf(envelope)]);
}

const SAMPLE = status({ at: T, id: "sample", wallet: "0xhot", url: URL, model: "m" });

describe("latecomer explain EVENT", (test) => {
  test("follows a sample from nothing known to its correction, and says each time what is missing", () =>
    withServedCluster({}, async (cluster) => {
      await cluster.clickhouse.command("SYSTEM STOP MERGES fact_stream_status_samples");
      const empty = await run(cluster, ["sample"]);
      assert.is(empty.code, 1, empty.out);
      assert.match(empty.err, 'no event and no session is called "sample"');

      await publish(cluster, SAMPLE);
      const waiting = await explain(cluster, "sample");
      assert.equal(waiting.copies.map(({ outcome, readFrom }: Json) => [outcome, readFrom]), [[null, "stream"]]);
      assert.equal(waiting.rows.map(({ standing }: Json) => standing), ["missing"]);

      await cluster.process();
      const unknown = await explain(cluster, "sample");
      assert.equal([unknown.observation.claim.reason, unknown.observation.candidates], ["no_snapshot", []]);
      assert.match(unknown.observation.wanted.sentence, URL);
      assert.equal(unknown.rows[0].standing, "equal");

      await publish(cluster, snapshot(T + 1_000, node("0xca", "x", ["GPU-x"])));
      const coming = await explain(cluster, "sample");
      assert.equal([coming.evidence.stream, coming.rows[0].standing], [1, "behind"], "what is not processed counts");
      await cluster.process();
      const other = await explain(cluster, "sample");
      assert.equal(other.observation.candidates.map(({ verdict }: Json) => verdict), ["model_incompatible"]);
      assert.equal(other.observation.wanted.known, ["x"]);

      await publish(cluster, snapshot(T + 2_000, node("0xca", "m", ["GPU-m"])), SAMPLE);
      await cluster.process();
      const healed = await explain(cluster, "sample");
      const [row] = await cluster.facts("network");
      assert.equal(healed.copies.map(({ streamSequence, outcome }: Json) => [streamSequence, outcome]), [
        [1, "accepted"],
        [4, "duplicate"],
      ]);
      assert.equal(
        healed.observation.candidates.map(({ verdict, distanceMs }: Json) => [verdict, distanceMs]),
        [["chosen", 2_000], ["model_incompatible", 1_000]],
      );
      assert.equal([healed.chosen.uid, healed.chosen.streamSequence], [row!.selected_snapshot_uid, 3]);
      const [fact] = healed.rows;
      assert.equal([fact.standing, fact.derivedVersion], ["equal", row!.version]);
      const reasons = fact.versions.map(({ changed }: Json) =>
        changed.find(({ column }: Json) => column === "unattributed_reason")
      );
      assert.equal(reasons, [
        undefined,
        { column: "unattributed_reason", from: "no_snapshot", to: "model_incompatible" },
        { column: "unattributed_reason", from: "model_incompatible", to: "" },
      ]);
      for (const { arrived } of fact.versions) assert.ok(Math.abs(Date.parse(arrived) - Date.now()) < 600_000, arrived);
      const text = await run(cluster, [String(row!.source_event_uid)]);
      assert.is(text.code, 0, text.err);
      assert.match(text.out, "Verdict: attributed, node_match, confidence 0.7 (level 6");
      assert.match(text.out, 'unattributed_reason: "no_snapshot" → "model_incompatible"');
      assert.match(text.out, `stored at sequence 3`);

      await cluster.jsm.streams.purge("LIVEPEER_EVENTS");
      await cluster.jsm.streams.purge("KV_capability_snapshots");
      const expired = await explain(cluster, "sample");
      assert.equal(expired.copies.map(({ readFrom }: Json) => readFrom), ["archive", "archive"]);
      assert.equal([expired.evidence.bucket, expired.evidence.archive], [0, 2]);
      assert.equal([expired.observation, expired.rows], [healed.observation, healed.rows]);
      assert.match((await run(cluster, ["sample"])).out, /read from the archive: the\s+stream no longer holds it/);
    }));

  test("tells apart what is called alike, and explains what was refused and what is a snapshot", () =>
    withServedCluster({}, async (cluster) => {
      const known = snapshot(T, node("0xca", "m", ["GPU-m"]));
      await publish(cluster, known, SAMPLE, { ...SAMPLE, source: "other" }, status({ at: T + 1, id: "sample" }));
      await cluster.nc.jetstream().publish("events.network.ai_stream_status.0", encode('{"id":"bad","type":"x"}'));
      await cluster.process();
      const several = await run(cluster, ["sample", "--json"]);
      assert.equal(json(several, 2).matches.map(({ source }: Json) => source), ["network", "network", "other"]);
      const listed = await run(cluster, ["sample"]);
      assert.is(listed.code, 2);
      assert.match(listed.out, "3 things are called so: name the uid, or add --source");
      const one = await explain(cluster, "sample", "--source", "other");
      assert.equal([one.source, one.observation.claim.reason], ["other", "no_snapshot"]);
      const uid = json(several, 2).matches[0].uid;
      assert.is((await explain(cluster, uid, "--source", "network")).uid, uid);

      const refused = await explain(cluster, "bad");
      assert.is(refused.outcome, "rejected");
      assert.match(refused.reason, "missing_timestamp");
      const told = await explain(cluster, known.envelope.id);
      assert.equal(told.nodes.map(({ url }: Json) => url), [URL]);
      assert.is((await run(cluster, ["sample", "--source", "third"])).code, 1);
    }));

  test("shows a name that would steer a terminal, or begin a line of its own, with marks for it", () =>
    withServedCluster({}, async (cluster) => {
      const id = "\u001b[31m\u202esample\nVerdict: attributed";
      const odd = status({ at: T, id, wallet: "0xhot", url: URL, model: "m" });
      await publish(cluster, odd, { ...odd, source: "other" });
      await cluster.process();
      const listed = await run(cluster, [id]);
      const told = await run(cluster, [id, "--source", "other"]);
      assert.match(listed.out, "\ufffd[31m\ufffdsample");
      assert.match(told.out, "\ufffd[31m\ufffdsample\ufffdVerdict: attributed");
      // deno-lint-ignore no-control-regex
      for (const { out } of [listed, told]) assert.not.match(out, /[\u001b\u202e]/);
      assert.is((await explain(cluster, id, "--source", "other")).id, id);
    }));

  test("ends with 3 when a server is away or the settings are not those of the installation", () =>
    withServedCluster({}, async (cluster) => {
      const away: [Record<string, string>, RegExp][] = [
        [{ NATS_URL: "nats://127.0.0.1:9" }, /cannot connect to NATS/],
        [{ CLICKHOUSE_URL: "http://127.0.0.1:9" }, /127.0.0.1:9/],
        [{ LATECOMER_TTL_BEFORE: "1h" }, /restore the settings/],
      ];
      for (const [env, why] of away) {
        const { code, err } = await run(cluster, ["sample"], env);
        assert.is(code, 3, err);
        assert.match(err, why);
      }
      assert.is((await run(cluster, ["sample"], { LATECOMER_TTL_BEFORE: "soon" })).code, 2);
      const missing = await run(cluster, ["sample"], { LATECOMER_DATABASE: "elsewhere" });
      assert.is(missing.code, 3);
      assert.match(missing.err, "elsewhere");
    }));
});

describe("latecomer explain SESSION", (test) => {
  test("tells its events, its segments and its swap, and the same from the archive", () =>
    withServedCluster({}, async (cluster) => {
      await publish(
        cluster,
        snapshot(T - 1_000, NODE_A, NODE_B),
        trace({ type: TRACE.request, at: T }),
        status({ at: T + 1_000, id: "first", ...A, model: SD }),
        trace({ type: TRACE.playable, at: T + 2_000, ...A }),
        trace({ type: TRACE.swap, at: T + 3_000, ...A }),
        status({ at: T + 4_000, id: "second", ...B, model: SD }),
        status({ at: T + 5_000, id: "lost", wallet: "0xnobody", url: "https://nowhere", model: SD }),
        trace({ type: TRACE.close, at: T + 6_000 }),
      );
      await cluster.process();
      const name = "stream-1|request-1";
      const told = await explain(cluster, name);
      const { session, rows, wanted } = told;
      assert.equal(session.segments.map(({ orchestrator, reason }: Json) => [orchestrator, reason]), [
        ["0xca", "orchestrator_change"],
        ["0xcb", "stream_closed"],
      ]);
      assert.equal([session.swaps.confirmed, session.startUp.outcome, session.eventCount], [1, "success", 7]);
      assert.equal(session.events.map(({ streamSequences: [sequence] }: Json) => sequence), [2, 3, 4, 5, 6, 7, 8]);
      assert.equal([rows[0].standing, told.readFrom], ["equal", { stream: 7, archive: 0 }]);
      assert.equal(wanted.map(({ events, wanted: { url } }: Json) => [events, url]), [[1, "https://nowhere"]]);
      const [{ version }] = await cluster.rows<{ version: string }>(
        "SELECT toString(version) AS version FROM fact_workflow_sessions FINAL",
      ) as [{ version: string }];
      assert.is(rows[0].derivedVersion, version);

      const edge = await explain(cluster, TRACE.close);
      assert.match(edge.borrowed.sentence, "takes the identity of segment 2");
      assert.equal(edge.rows.map(({ table, standing }: Json) => [table, standing]), [
        ["fact_stream_trace_edges", "equal"],
        ["fact_lifecycle_edge_coverage", "equal"],
      ]);
      const text = await run(cluster, [name]);
      assert.match(text.out, "confirmed swap 1");
      assert.match(text.out, /^segment 2 +\| +=+ *\|$/m);

      await cluster.jsm.streams.purge("LIVEPEER_EVENTS");
      const archived = await explain(cluster, name);
      assert.equal(archived.readFrom, { stream: 0, archive: 7 });
      assert.equal([archived.session, archived.rows], [session, rows]);

      await cluster.clickhouse.command("TRUNCATE TABLE raw_streaming_events");
      const gone = await run(cluster, [name]);
      assert.is(gone.code, 1);
      assert.match(gone.err, "its row in fact_workflow_sessions is all that is left");
    }));
});
