/** Why a row would differ under a changed setting, told from the snapshots on which both rows rest. Pure. */
import type { Row } from "../core/emit/row.ts";
import type { Fact } from "../core/facts.ts";
import type { Ttl } from "../core/select.ts";
import { formatDuration, formatOffset } from "../core/time.ts";
import type { Trial } from "./derive.ts";
import type { WindowSnapshot } from "./window.ts";

export interface Cause {
  /**
   * - `left_out`: its snapshot is left out;
   * - `expires`: its snapshot lies outside the changed TTL;
   * - `counts`: a snapshot counts that lies outside the present TTL;
   * - `closed`: a snapshot that corrects it now would come after it has closed;
   * - `reopened`: a snapshot corrects it that comes too late now;
   * - `rivals`: what it was compared with, or what told against it, counts no longer, or counts now;
   * - `session`: it follows from other events of its session.
   */
  readonly code: "left_out" | "expires" | "counts" | "closed" | "reopened" | "rivals" | "session";
  readonly why: string;
}

/** A row under both settings, undefined where there is none. */
export interface Pair {
  readonly fact: Fact;
  readonly before: Row | undefined;
  readonly after: Row | undefined;
}

/** The cause of a difference; `snapshots` are those of the window. */
export function causeOf(
  { fact, before, after }: Pair,
  present: Trial,
  changed: Trial,
  snapshots: readonly WindowSnapshot[],
): Cause {
  if (dependsOnSession(fact, before ?? after!)) {
    return { code: "session", why: "follows from other events of its session that change" };
  }
  const eventMs = (before ?? after!)[fact.time] as number;
  const [old, young] = [restsOn(before), restsOn(after)];
  const named = (uid: string) => snapshots.find((one) => one.uid === uid);
  const isLeftOut = ({ uid }: Rest) => changed.withoutSnapshots.some((name) => name === uid || name === named(uid)?.id);
  if (old !== undefined && isLeftOut(old)) {
    return { code: "left_out", why: `it rests on snapshot ${old.uid}, which is left out` };
  }
  if (old !== undefined && !isWithin(old.timeMs - eventMs, changed.ttl)) {
    return {
      code: "expires",
      why: `its snapshot lies ${formatOffset(old.timeMs - eventMs)}, and only ${limit(old, eventMs, changed)} count`,
    };
  }
  if (young !== undefined && !isWithin(young.timeMs - eventMs, present.ttl)) {
    return {
      code: "counts",
      why: `snapshot ${young.uid} lies ${formatOffset(young.timeMs - eventMs)}, which counts then`,
    };
  }
  const lateness = changed.allowedLatenessMs - present.allowedLatenessMs;
  if (lateness < 0 && old !== undefined && old.uid !== young?.uid) {
    return { code: "closed", why: `snapshot ${old.uid} comes too late for the changed allowed lateness` };
  }
  if (lateness > 0 && young !== undefined && old?.uid !== young.uid) {
    return { code: "reopened", why: `snapshot ${young.uid} comes too late for the present allowed lateness only` };
  }
  return { code: "rivals", why: "what else is known of its node or wallet counts no longer, or counts then" };
}

interface Rest {
  readonly uid: string;
  readonly timeMs: number;
}

/** The snapshot that a row rests on. */
function restsOn(row: Row | undefined): Rest | undefined {
  const { selected_snapshot_uid: uid, selected_snapshot_ts: timeMs } = row ?? {};
  return typeof uid === "string" && typeof timeMs === "number" ? { uid, timeMs } : undefined;
}

/** What an edge that names nobody states is its session's. */
function dependsOnSession({ table }: Fact, row: Row): boolean {
  if (table === "fact_stream_status_samples") return false;
  return table !== "fact_stream_trace_edges" || row.gpu_attribution_method === "segment_window_join" ||
    row.unattributed_reason === "pre_assignment" || row.unattributed_reason === "no_orchestrator";
}

function isWithin(deltaMs: number, { beforeMs, afterMs }: Ttl): boolean {
  return deltaMs >= -beforeMs && deltaMs <= afterMs;
}

function limit({ timeMs }: Rest, eventMs: number, { ttl }: Trial): string {
  return formatDuration(timeMs < eventMs ? ttl.beforeMs : ttl.afterMs);
}
