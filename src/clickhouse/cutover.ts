/** Hands facts over from one writer to the other, so that at no moment two of them are in charge. */
import { LatecomerError } from "../errors.ts";
import type { Clock } from "../ports.ts";
import type { ClickHouse } from "./client.ts";
import { requireSingleServer } from "./cluster.ts";
import { createLegacyView, LEGACY_VIEWS } from "./legacy.ts";
import { HANDED_OVER_MS } from "./sink.ts";
import { type FactWriter, factWriters, setWriter, type Writer } from "./writer.ts";

export interface HandOver {
  readonly to: Writer;
  /** Also where it is not certain who writes: every view that writes a fact is dropped, whoever made it. */
  readonly force: boolean;
}

/**
 * Makes `to` the writer of the facts that a legacy view can write, and Latecomer that of the others. Returns what was
 * done, a line each; nothing when it was so before, unless it is forced. Throws WRITER_AMBIGUOUS (usage), having changed
 * nothing, when it is not certain who writes and `force` is not set; what is interrupted is mended by the same with
 * `force`.
 *
 * A processor stops within HANDED_OVER_MS, so the view comes only then; and it has stopped, or begun, when this returns.
 */
export async function handOver(
  clickhouse: ClickHouse,
  database: string,
  { to, force }: HandOver,
  clock: Clock,
  signal: AbortSignal,
): Promise<string[]> {
  await requireSingleServer(clickhouse, database, "a cut-over");
  const before = await factWriters(clickhouse, database);
  if (!force) requireCertain(before, "usage");
  const ofViews = LEGACY_VIEWS.map(({ fact }) => fact);
  const others = before.map(({ fact }) => fact).filter((fact) => !ofViews.includes(fact));
  const isSo = before.every(({ fact, writer, doubt }) =>
    doubt === undefined && writer === (ofViews.includes(fact) ? to : "latecomer")
  );
  if (isSo && !force) return [];
  const done: string[] = [];
  // In this order: what is interrupted in between has one writer or none, and never two.
  for (const view of new Set(before.flatMap(({ views }) => views))) {
    await clickhouse.command(`DROP VIEW IF EXISTS ${view}`);
    done.push(`dropped ${view}`);
  }
  if (force) await setWriter(clickhouse, others, "latecomer");
  await setWriter(clickhouse, ofViews, to);
  done.push(`${to} writes ${ofViews.join(", ")}`);
  await clock.sleep(HANDED_OVER_MS, signal);
  if (to === "mv") {
    if (signal.aborted) {
      const fix = "latecomer cutover to mv --force goes on, latecomer cutover to latecomer --force goes back";
      throw new LatecomerError("INTERRUPTED", "fatal", `interrupted while the processors were to stop: ${fix}`);
    }
    const since = new Map((await factWriters(clickhouse, database)).map(({ fact, sinceMs }) => [fact, sinceMs]));
    for (const view of LEGACY_VIEWS) {
      await createLegacyView(clickhouse, database, view, since.get(view.fact)!);
      done.push(`created ${database}.${view.name}, and wrote what came while nobody did`);
    }
  }
  // Somebody else may have done the same at the same time.
  requireCertain(await factWriters(clickhouse, database), "fatal");
  return done;
}

function requireCertain(writers: readonly FactWriter[], kind: "usage" | "fatal"): void {
  const doubtful = writers.filter(({ doubt }) => doubt !== undefined);
  if (doubtful.length === 0) return;
  const lines = doubtful.map(({ fact, doubt }) => `  ${fact}: ${doubt!.why}; ${doubt!.fix}`);
  throw new LatecomerError("WRITER_AMBIGUOUS", kind, `it is not certain who writes:\n${lines.join("\n")}`);
}
