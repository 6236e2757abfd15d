/**
 * A night on call, told once from end to end: `triage` names who has no key, `explain` says what is missing, it comes, the
 * processor that runs meanwhile mends the rows, and both commands tell of that. Every command is a process of its own.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import * as assert from "uvu/assert";
import type { Triage } from "../../src/triage/triage.ts";
import {
  type Cluster,
  type Ended,
  eventually,
  latecomer,
  startCommand,
  withServedCluster,
} from "../helpers/cluster.ts";
import { environmentOf } from "../helpers/command.ts";
import { type Json, json } from "../helpers/replay.ts";
import {
  EVENTS,
  isStressed,
  STRESS_SESSIONS,
  type StressSession,
  UNKNOWN_SESSION,
  WITHHELD,
} from "../helpers/stress.ts";
import { describe } from "../helpers/suite.ts";
import { linesIn } from "../helpers/terminal.ts";
import { STRESS_HOURS } from "../helpers/triage.ts";

const WALLET = "0x3333333333333333333333333333333333333333";
const NODE = "https://node-c.example:8935";
const MODEL = "streamdiffusion-sdxl-v2v";
const CANONICAL = "0xcccccccccccccccccccccccccccccccccccccccc";
const SAMPLE = "late-status-10";
const PICTURE = new URL("../../deploy/screenshots/explain.svg", import.meta.url);
const TRIAGE = ["triage", ...STRESS_HOURS];

type Run = (...args: string[]) => Promise<Ended>;

/** Runs with a stack in which `latecomer run` is at work, and whose replaced versions of rows stay to be looked at. */
function withRunning(use: (cluster: Cluster, run: Run) => Promise<void>): Promise<void> {
  return withServedCluster({}, async (cluster) => {
    await cluster.clickhouse.command("SYSTEM STOP MERGES");
    const there = { cwd: cluster.folder, env: { ...environmentOf(cluster), LATECOMER_TABLE_RETENTION: "none" } };
    const run: Run = (...args) => latecomer(args, there);
    assert.is((await run("init")).code, 0);
    const processor = startCommand(["run"], there);
    try {
      await use(cluster, run);
      processor.kill("SIGTERM");
      const { code, err } = await processor.ended;
      assert.is(code, 0, err);
    } finally {
      processor.kill("SIGKILL");
    }
  });
}

/** Waits until the processor has written the rows of these sessions. */
function stressed(cluster: Cluster, sessions: readonly StressSession[]): Promise<void> {
  return eventually("the rows are there", () => isStressed(cluster, "org", sessions).then(() => true, () => false));
}

/** Asks until the rollup has come after the rows: once, or twice. */
async function triageOnce(run: Run, what: string, holds: (found: Triage) => boolean): Promise<Triage> {
  let found: Triage | undefined;
  await eventually(what, async () => {
    const { out, err } = await run(...TRIAGE, "--json");
    assert.is.not(out, "", err);
    found = JSON.parse(out) as Triage;
    return holds(found);
  });
  return found!;
}

function failures({ findings }: Triage): string[] {
  return findings.filter(({ state }) => state === "failed").map(({ name }) => name);
}

/** The words of a command line that was printed, as a shell reads them. */
function wordsOf(line: string): string[] {
  const words = execFileSync("sh", ["-c", `latecomer() { printf '%s\\0' "$@"; }; ${line}`], { encoding: "utf8" });
  return words.split("\0").slice(0, -1);
}

/** What the last version of a row says otherwise than the one before it, by column; each came in its time. */
function changesOf({ versions }: Json): Map<string, unknown[]> {
  assert.ok(versions.length >= 2, "a version before and one after");
  const arrivals = versions.map(({ arrived }: Json) => Date.parse(arrived));
  assert.equal(arrivals, [...arrivals].sort((a, b) => a - b));
  assert.ok(Math.abs(arrivals.at(-1) - Date.now()) < 600_000);
  return new Map(versions.at(-1).changed.map(({ column, from, to }: Json) => [column, [from, to]]));
}

/** Fails unless nothing is wrong, and the session is told of as one that a late snapshot healed. */
function triageHealed(found: Triage): void {
  assert.equal([found.sound, failures(found), found.offenders, found.sessions], [true, [], [], []]);
  const healed = found.late.healed.find((one) => one.session === UNKNOWN_SESSION);
  assert.equal([healed?.rows, healed?.orchestrator, healed?.model], [5, CANONICAL, MODEL]);
}

/** Fails unless an explanation tells that its row was nobody's and is somebody's since a version later. */
function explainsHealing({ rows: [row] }: Json): void {
  assert.is(row.standing, "equal");
  const changes = changesOf(row);
  assert.equal(changes.get("unattributed_reason"), ["no_snapshot", ""]);
  assert.equal(changes.get("orchestrator_address"), ["", CANONICAL]);
  assert.equal(changes.get("gpu_id"), [null, "GPU-c"]);
  assert.match(String(changes.get("selected_snapshot_uid")), "snapshot-withheld");
}

/** What an explanation says but for when its messages and rows came, and how often the same row did. */
function timeless(text: string): string[] {
  const bare = text.replace(/(at|arrived|sequence \d+,) \d{4}-\S+Z/g, "$1").replace(/, written \d+ times/g, "");
  return bare.trimEnd().split("\n");
}

/** True when a check does not fail. */
function holds(check: () => void): boolean {
  try {
    check();
    return true;
  } catch {
    return false;
  }
}

describe("somebody on call", (test) => {
  test("is led from a wallet without a key to the snapshot that is missing, and sees the rows heal when it comes", () =>
    withRunning(async (cluster, run) => {
      await cluster.publish("org", EVENTS);
      await stressed(cluster, STRESS_SESSIONS.filter((one) => one.workflow_session_id !== UNKNOWN_SESSION));
      const known = ["silver_empty_key_rate", "session_attribution_proportions"];
      const sick = await triageOnce(
        run,
        "triage blames the withheld snapshot alone",
        (found) => String(failures(found)) === String(known),
      );
      const named = ({ kind, name }: Triage["offenders"][number]) => `${kind} ${name}`;
      assert.equal(sick.offenders.map(named), [`model ${MODEL}`, `url ${NODE}`, `wallet ${WALLET}`]);
      assert.equal(sick.sessions.map(({ session, wallets }) => [session, wallets]), [[UNKNOWN_SESSION, [WALLET]]]);
      const shown = await run(...TRIAGE);
      assert.is(shown.code, 1, shown.err);
      for (const one of [...known, WALLET, NODE, UNKNOWN_SESSION]) assert.match(shown.out, one);

      const [advised] = /latecomer explain .*/.exec(shown.out)!;
      const told = await run(...wordsOf(advised));
      assert.is(told.code, 0, told.err);
      const words = told.out.replace(/\s+/g, " ");
      assert.match(
        words,
        "3 events: A snapshot between 2026-02-24T20:00:02.000Z and 2026-02-26T20:00:02.000Z that lists",
      );
      assert.match(words, `that lists ${NODE}, running ${MODEL} or a model that it does not name, would attribute it`);
      const explain = async (id: string) => json(await run("explain", "--source", "org", "--json", "--", id));
      const [session, sample] = [await explain(UNKNOWN_SESSION), await explain(SAMPLE)];
      assert.equal(session.wanted.map(({ events, wanted }: Json) => [events, wanted.url]), [[3, NODE], [2, NODE]]);
      assert.equal([sample.observation.claim.reason, sample.observation.candidates], ["no_snapshot", []]);
      assert.match(sample.observation.wanted.sentence, NODE);
      for (const check of [() => triageHealed(sick), () => explainsHealing(session), () => explainsHealing(sample)]) {
        assert.not.ok(holds(check), "what tells of healing must not hold before it");
      }

      await cluster.publish("org", WITHHELD);
      await stressed(cluster, STRESS_SESSIONS);
      const healed = await triageOnce(run, "triage finds nothing wrong", ({ sound }) => sound);
      triageHealed(healed);
      const [sessionNow, sampleNow] = [await explain(UNKNOWN_SESSION), await explain(SAMPLE)];
      assert.equal([sessionNow.wanted, sampleNow.observation.wanted], [[], null]);
      for (const one of [sessionNow, sampleNow]) explainsHealing(one);
      const pictured = linesIn(readFileSync(PICTURE, "utf8"));
      assert.equal(
        timeless(pictured.slice(1).join("\n")),
        timeless((await run("explain", SAMPLE)).out),
        "npm run screenshot",
      );
      const [after, why] = await Promise.all([run(...TRIAGE), run(...wordsOf(advised))]);
      assert.equal([after.code, why.code], [0, 0], after.err + why.err);
      assert.match(after.out, "No wallet has rows without a key.");
      assert.match(after.out, new RegExp(`^org +${UNKNOWN_SESSION.replace("|", "\\|")} +5 +${CANONICAL}`, "m"));
      assert.not.match(why.out, "would attribute");
      assert.match(why.out, 'unattributed_reason: "no_snapshot" → ""');
    }));
});
