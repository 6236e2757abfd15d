/** The operator's tasks that have consequences, by the commands of the runbook, over real servers. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { registerForgetSource } from "../../src/cli/forget-source.ts";
import { registerReplay } from "../../src/cli/replay.ts";
import { registerRun } from "../../src/cli/run.ts";
import { registerSimulate } from "../../src/cli/simulate.ts";
import { registerVerify } from "../../src/cli/verify.ts";
import { digests, rollupDigest } from "../../src/clickhouse/digest.ts";
import { rowsOfSource } from "../../src/clickhouse/forget.ts";
import { migrations } from "../../src/clickhouse/migrate.ts";
import { encodeToken } from "../../src/core/subject.ts";
import { startNatsServer } from "../../src/local/nats-server.ts";
import { openBuckets } from "../../src/nats/bucket.ts";
import { openEventStream } from "../../src/nats/stream.ts";
import { State } from "../../src/runtime/state.ts";
import { type Cluster, type Ended, eventually, inFolder, latecomer, withServedCluster } from "../helpers/cluster.ts";
import { environmentOf, inProcess, type Register } from "../helpers/command.ts";
import { carryOut, scriptsOf } from "../helpers/runbook.ts";
import { describe } from "../helpers/suite.ts";

/** Flat out a simulation spans hours: long before its end some of its samples are closed, and at its end some are open. */
const COUNT = "1000";
const SETTINGS = { allowedLatenessMs: "2h" };

function sound({ code, out, err }: Ended): string {
  assert.is(code, 0, `${out}\n${err}`);
  return out;
}

async function command(cluster: Cluster, register: Register, ...args: string[]): Promise<Ended> {
  return await inProcess(register, environmentOf(cluster), args);
}

async function simulate(cluster: Cluster, source: string, seed: number): Promise<void> {
  const faults = ["--late", "0.1", "--duplicates", "0.05", "--malformed", "0.01"];
  const args = ["--source", source, "--seed", `${seed}`, "--count", COUNT, ...faults];
  sound(await command(cluster, registerSimulate, "simulate", ...args));
}

/** Processes what is stored, rollup and all. */
async function process(cluster: Cluster): Promise<void> {
  sound(
    await command(cluster, registerRun, "run", "--until-drained", "--allowed-lateness", SETTINGS.allowedLatenessMs),
  );
}

/** Content and number of everything that a source has in facts and rollup. */
async function contentOf({ clickhouse, config }: Cluster, source?: string): Promise<unknown> {
  const window = { source };
  return [
    ...await digests(clickhouse, config.database, window),
    await rollupDigest(clickhouse, config.database, window),
  ];
}

/** Runs with the installation that is kept below a folder as `latecomer dev` keeps it; what stops is started again. */
function withInstallation(folder: string, use: (cluster: Cluster) => Promise<void>): Promise<void> {
  const local = join(folder, ".latecomer");
  return withServedCluster(SETTINGS, use, {
    engineFolder: join(local, "clickhouse"),
    startNats: () => startNatsServer({ folder: join(local, "nats") }),
  });
}

/** Everything in NATS that names a source: subjects, keys and values, in its own form or as a token. */
async function namesInNats(cluster: Cluster, source: string): Promise<string[]> {
  const names = [source, encodeToken(source), JSON.stringify(source).slice(1, -1)];
  const found: string[] = [];
  for await (const { config } of cluster.jsm.streams.list()) {
    for (const { subject, data } of await stored(cluster, config.name)) {
      const text = new TextDecoder().decode(data);
      if (names.some((name) => subject.includes(name) || text.includes(name))) found.push(subject);
    }
  }
  return found;
}

async function stored(cluster: Cluster, stream: string): Promise<{ subject: string; data: Uint8Array }[]> {
  const { state } = await cluster.jsm.streams.info(stream);
  const found = [];
  for (let seq = state.first_seq; seq <= state.last_seq && state.messages > 0; seq++) {
    const message = await cluster.jsm.streams.getMessage(stream, { seq }).catch(() => undefined);
    if (message !== undefined) found.push({ subject: message.subject, data: message.data });
  }
  return found;
}

describe("a back-up of the embedded folder", (test) => {
  test("restored gives the same digests, and goes on to those of an installation that was never lost", () =>
    inFolder(async (folder) => {
      const [save = "", restore = ""] = scriptsOf("Back up and restore");
      let saved: unknown;
      let later: unknown;
      /** What came after the back-up: its publishers have it still. */
      let sent: Awaited<ReturnType<Cluster["messages"]>> = [];
      await withInstallation(folder, async (cluster) => {
        await simulate(cluster, "org", 1);
        await process(cluster);
        saved = await contentOf(cluster);
      });
      sound(await carryOut(save, folder));
      await withInstallation(folder, async (cluster) => {
        const { lastSeq } = await (await openEventStream(cluster.nc)).bounds();
        await simulate(cluster, "org", 2);
        sent = (await cluster.messages("LIVEPEER_EVENTS")).filter(({ seq }) => seq > lastSeq);
        await process(cluster);
        later = await contentOf(cluster);
        assert.not.equal(later, saved);
      });
      sound(await carryOut(restore, folder));
      await withInstallation(folder, async (cluster) => {
        assert.equal(await contentOf(cluster), saved);
        sound(await command(cluster, registerVerify, "verify"));
        await process(cluster);
        assert.equal(await contentOf(cluster), saved, "and by processing nothing of it changes");
        for (const { subject, data } of sent) await cluster.nc.jetstream().publish(subject, data);
        await process(cluster);
        assert.equal(await contentOf(cluster), later);
      });
    }));
});

describe("lost ClickHouse", (test) => {
  test("has the same rows again after starting over", () =>
    inFolder(async (folder) => {
      let before: unknown;
      await withInstallation(folder, async (cluster) => {
        await simulate(cluster, "org", 3);
        await process(cluster);
        before = await contentOf(cluster);
      });
      rmSync(join(folder, ".latecomer", "clickhouse"), { recursive: true });
      await withInstallation(folder, async (cluster) => {
        await process(cluster);
        assert.not.equal(await contentOf(cluster), before, "without starting over most rows are missing");
        for (const script of scriptsOf("Start over")) sound(await carryOut(script, folder, cluster));
        assert.equal(await contentOf(cluster), before);
        sound(await command(cluster, registerVerify, "verify"));
      });
    }));
});

describe("lost NATS", (test) => {
  test("has the same rows when the archive is published again", () =>
    inFolder(async (folder) => {
      let before: unknown;
      let accepted = 0;
      await withInstallation(folder, async (cluster) => {
        await simulate(cluster, "org", 4);
        await process(cluster);
        before = await contentOf(cluster);
        accepted = await cluster.count("SELECT count() FROM raw_streaming_events FINAL WHERE outcome = 'accepted'");
      });
      rmSync(join(folder, ".latecomer", "nats"), { recursive: true });
      await withInstallation(folder, async (cluster) => {
        assert.is(await cluster.storedCount(), 0);
        for (const script of scriptsOf("NATS is lost")) {
          sound(await carryOut(script, folder, cluster, { SOURCE: "org" }));
        }
        assert.ok(accepted > 100);
        assert.is(await cluster.storedCount(), accepted);
        assert.ok((await cluster.keys("capability_snapshots")).length > 0);
        assert.equal(await contentOf(cluster), before);
      });
    }));
});

describe("an upgrade", (test) => {
  test("adds what a migration brings while a processor runs, and changes no row", () =>
    withServedCluster(SETTINGS, async (cluster) => {
      const { name, statements } = migrations().at(-1)!;
      const made = statements.map((one) => /^CREATE (TABLE|VIEW) IF NOT EXISTS (\w+)/m.exec(one)!);
      // As the version before had it.
      for (const [, kind, object] of made) await cluster.clickhouse.command(`DROP ${kind} ${object}`);
      await cluster.clickhouse.command(
        "ALTER TABLE schema_migrations DELETE WHERE name = {name:String} SETTINGS mutations_sync = 2",
        { name },
      );
      const running = await cluster.start();
      await simulate(cluster, "org", 5);
      await running.drained();
      const before = await contentOf(cluster);
      for (const script of scriptsOf("Upgrade")) sound(await carryOut(script, cluster.folder, cluster));
      for (const [, , object] of made) await cluster.rows(`SELECT * FROM ${object} LIMIT 1`);
      assert.equal(await contentOf(cluster), before);
      await simulate(cluster, "org", 6);
      await running.drained();
      await running.stop();
      assert.not.equal(await contentOf(cluster), before, "it went on");
      sound(await command(cluster, registerVerify, "verify"));
    }));
});

describe("latecomer forget-source", (test) => {
  const GONE = "acme inc.";
  const forget = (cluster: Cluster, ...flags: string[]) =>
    command(cluster, registerForgetSource, "forget-source", GONE, ...flags);

  test("removes a source from streams, buckets and tables, and leaves every other as it was, restart or not", () =>
    withServedCluster(SETTINGS, async (cluster) => {
      const { config, clickhouse } = cluster;
      const rowsOf = (source: string) => rowsOfSource(clickhouse, config.database, source);
      await simulate(cluster, GONE, 7);
      await simulate(cluster, "org", 8);
      await process(cluster);
      for (const source of [GONE, "org"]) await cluster.nc.jetstream().publish(`dirty.${encodeToken(source)}.60`);
      const buckets = await openBuckets(cluster.nc);
      // Sessions have their entries a minute after their events, and observations only while they have no snapshot.
      for (const bucket of [buckets.workflow_sessions, buckets.unmatched_status]) {
        for (const source of [GONE, "org"]) await bucket.put(`${encodeToken(source)}.x`, "{}", 0);
      }
      const state = new State(buckets);
      const span = { fromMs: 0, toMs: 1 };
      await state.noteCosts("0", [GONE, "org"].map((source) => ({ kind: "late", source, count: 1, span } as never)));
      await state.noteCosts("all", [{ kind: "late", source: GONE, count: 1, span } as never]);
      const [content, rows] = [await contentOf(cluster, "org"), await rowsOf("org")];
      assert.ok((await rowsOf(GONE)).length > 12, "it is in most tables");

      const shown = JSON.parse(sound(await forget(cluster, "--json")));
      const places: string[] = shown.found.map(({ place }: { place: string }) => place);
      for (
        const place of [
          "LIVEPEER_EVENTS, events.acme=20inc=2E.>",
          "LIVEPEER_DLQ, dlq.acme=20inc=2E.>",
          "LIVEPEER_DIRTY_MINUTES, dirty.acme=20inc=2E.>",
          "KV_capability_snapshots, $KV.capability_snapshots.acme=20inc=2E.>",
          "KV_unmatched_status, $KV.unmatched_status.acme=20inc=2E.>",
          "KV_workflow_sessions, $KV.workflow_sessions.acme=20inc=2E.>",
          "KV_checkpoints, costs.0",
          "KV_checkpoints, costs.all",
          "fact_workflow_sessions",
          "raw_streaming_events",
          "raw_streaming_events_dlq",
          "agg_stream_performance_1m",
        ]
      ) assert.ok(places.includes(place), `${place} in ${places.join("; ")}`);
      assert.equal(shown.left, null);
      assert.ok((await namesInNats(cluster, GONE)).length > 0, "nothing was removed");

      assert.match(sound(await forget(cluster, "--apply")), "Nothing of it is left.");
      const isGone = async () => {
        assert.equal(await rowsOf(GONE), []);
        assert.equal(await namesInNats(cluster, GONE), []);
        assert.equal(await contentOf(cluster, "org"), content);
      };
      await isGone();
      assert.equal(await rowsOf("org"), rows);
      assert.is(await cluster.storedCount("LIVEPEER_DIRTY_MINUTES"), 1);
      assert.equal(await cluster.keys("workflow_sessions"), ["org.x"]);
      assert.equal(await cluster.keys("checkpoints"), ["costs.0", "generation"]);

      await cluster.process();
      await isGone();
      assert.equal(cluster.journal.lines.filter(({ level }) => level === "warn" || level === "error"), []);
      sound(await command(cluster, registerVerify, "verify"));
      assert.match(sound(await forget(cluster, "--apply")), /There is nothing of the source "acme inc."/);
      // What is looked for is found where it is.
      await simulate(cluster, GONE, 7);
      assert.ok((await namesInNats(cluster, GONE)).length > 1_000);
      await process(cluster);
      assert.ok((await rowsOf(GONE)).length > 12);
    }));

  test("waits for nobody: beside processors and kept replays it is refused, and removes nothing", () =>
    withServedCluster(SETTINGS, async (cluster) => {
      await simulate(cluster, GONE, 9);
      const running = await cluster.start();
      await running.drained();
      const before = await contentOf(cluster);
      const refused = await forget(cluster, "--apply");
      assert.is(refused.code, 3);
      assert.match(refused.err, /processors run \(0, all, member\.one\)/);
      await running.stop();
      sound(await command(cluster, registerReplay, "replay", "--from-seq", "1", "--keep", "--allowed-lateness", "2h"));
      const kept = await forget(cluster, "--apply");
      assert.is(kept.code, 2);
      const [, drop] = /latecomer (replay drop \w+)/.exec(kept.err)!;
      assert.equal(await contentOf(cluster), before);
      sound(await command(cluster, registerReplay, ...drop!.split(" ")));
      sound(await forget(cluster, "--apply"));
      assert.equal(await namesInNats(cluster, GONE), []);
    }));

  test("is refused before anything is removed where the profile is another, or the source a wildcard", () =>
    withServedCluster(SETTINGS, async (cluster) => {
      await simulate(cluster, "org", 11);
      // A server that checks subjects takes no such message; nats-server 2.9 does.
      cluster.nc.publish("events.*.t.0", "{}");
      await cluster.nc.flush();
      assert.ok((await cluster.messages("LIVEPEER_EVENTS")).some(({ subject }) => subject === "events.*.t.0"));
      await process(cluster);
      const [before, stored] = [await contentOf(cluster), await cluster.storedCount()];
      const wildcard = await command(cluster, registerForgetSource, "forget-source", "*", "--apply");
      assert.is(wildcard.code, 2);
      assert.match(wildcard.err, /nats stream rmm LIVEPEER_EVENTS/);
      const other = await command(cluster, registerForgetSource, "forget-source", "org", "--apply", "--cluster", "c");
      assert.is(other.code, 2);
      assert.equal(await contentOf(cluster), before);
      assert.is(await cluster.storedCount(), stored);
      assert.ok((await cluster.keys("checkpoints")).includes("0"));
    }));

  test("tells what comes meanwhile", () =>
    withServedCluster(SETTINGS, async (cluster) => {
      await simulate(cluster, GONE, 10);
      const subject = `events.${encodeToken(GONE)}.x.all`;
      // What is under way when the connection closes fails.
      const publishing = setInterval(() => cluster.nc.jetstream().publish(subject).catch(() => {}), 5);
      try {
        await eventually("messages come", async () => await cluster.storedCount() > 0);
        const { code, out } = await forget(cluster, "--apply");
        assert.is(code, 1);
        assert.match(out, /came meanwhile/);
      } finally {
        clearInterval(publishing);
      }
    }));

  test("is a command of the program", () =>
    inFolder(async (cwd) => {
      assert.is((await latecomer(["forget-source"], { cwd })).code, 2);
      assert.match((await latecomer(["forget-source", "--help"], { cwd })).out, /--apply/);
    }));
});
