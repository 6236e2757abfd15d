/** How a row came to be what it is: every version that was written, and how the newest compares with what is derived now. */
import type { WrittenRow } from "../clickhouse/history.ts";
import type { Row } from "../core/emit/row.ts";
import { versionOf, versionParts } from "../core/evidence.ts";
import type { FactTable } from "../core/facts.ts";
import { formatInstant } from "../core/time.ts";

/** How the row in the table stands to the one that is derived from all evidence that is found now. */
export const STANDING = {
  equal: "the table has what the evidence says",
  missing: "the table has no such row: it is not processed yet, or was lost (latecomer verify tells which)",
  behind:
    "the table's row has less evidence: its correction is on the way, or a snapshot came later than the allowed " +
    "lateness (latecomer replay --backfill mends that)",
  ahead: "the table's row has more evidence than is found now: a snapshot or an event has expired everywhere",
  changed: "the table's row has the same version and another content: it was changed by hand",
  removed: "the newest version is a tombstone: a back-fill found no event that yields this row",
} as const;

export type Standing = keyof typeof STANDING;

/** A version of a row, and what it changed in the one before. */
export interface VersionStep {
  readonly version: string;
  readonly generation: number;
  /** In decimals, see core/evidence.ts. */
  readonly evidence: string;
  /** When it was first written, and how often the same version was. */
  readonly arrived: string;
  readonly writes: number;
  readonly isDeleted: boolean;
  readonly changed: readonly { readonly column: string; readonly from: unknown; readonly to: unknown }[];
}

export interface RowExplained {
  readonly table: FactTable;
  readonly standing: Standing;
  /** The version that all evidence gives, under the generation of the newest row; null when nothing yields the row. */
  readonly derivedVersion: string | null;
  /** Who the row names, as derived, or as it stands where nothing yields it. */
  readonly identity: Readonly<Record<string, unknown>>;
  /** Where the newest row says otherwise than what is derived. */
  readonly differs: readonly {
    readonly column: string;
    readonly stored: string | null;
    readonly derived: string | null;
  }[];
  /** Least version first; versions that were merged away are gone. */
  readonly versions: readonly VersionStep[];
}

/** The columns that say who served, and why not; equal in a row that was derived and one that was read. */
const IDENTITY = [
  "orchestrator_address",
  "orchestrator_url",
  "pipeline",
  "model_id",
  "gpu_id",
  "gpu_count",
  "is_attributed",
  "unattributed_reason",
  "gpu_attribution_method",
  "evidence_level",
  "selected_snapshot_uid",
  "event_count",
] as const;

/** The rows of one key that were written, least version first, beside the one that is derived from all evidence. */
export function explainRow(
  table: FactTable,
  derived: Row | undefined,
  written: readonly WrittenRow[],
  generation: number,
): RowExplained {
  const newest = written.at(-1);
  const evidence = derived && versionParts(BigInt(derived.version as string)).evidence;
  const own = newest === undefined ? generation : versionParts(BigInt(newest.version)).generation;
  return {
    table,
    standing: standingOf(derived, evidence, newest),
    derivedVersion: evidence === undefined ? null : versionOf(own, evidence).toString(),
    identity: identityOf(derived ?? newest?.columns ?? {}),
    differs: derived === undefined || newest === undefined ? [] : differencesOf(newest, derived),
    versions: stepsOf(written),
  };
}

function standingOf(derived: Row | undefined, evidence: bigint | undefined, newest: WrittenRow | undefined): Standing {
  if (newest === undefined) return "missing";
  if (newest.isDeleted) return "removed";
  if (derived === undefined || evidence === undefined) return "ahead";
  const stored = versionParts(BigInt(newest.version)).evidence;
  if (stored !== evidence) return stored < evidence ? "behind" : "ahead";
  return differencesOf(newest, derived).length === 0 ? "equal" : "changed";
}

function differencesOf({ columns }: WrittenRow, row: Row): RowExplained["differs"] {
  const stored = identityOf(columns);
  return Object.entries(identityOf(row)).filter(([column, derived]) => stored[column] !== derived)
    .map(([column, derived]) => ({ column, stored: stored[column] ?? null, derived }));
}

/** As text, for the engine tells 64-bit numbers so. */
function identityOf(columns: Readonly<Record<string, unknown>>): Record<string, string | null> {
  const present = IDENTITY.filter((column) => columns[column] !== undefined);
  return Object.fromEntries(
    present.map((column) => [column, columns[column] === null ? null : String(columns[column])]),
  );
}

function stepsOf(written: readonly WrittenRow[]): VersionStep[] {
  const steps: VersionStep[] = [];
  let before: WrittenRow | undefined;
  for (const row of written) {
    const last = steps.at(-1);
    if (last?.version === row.version) {
      steps[steps.length - 1] = { ...last, writes: last.writes + 1 };
      continue;
    }
    const { generation, evidence } = versionParts(BigInt(row.version));
    steps.push({
      version: row.version,
      generation,
      evidence: evidence.toString(),
      arrived: formatInstant(row.arrivedMs),
      writes: 1,
      isDeleted: row.isDeleted,
      changed: before === undefined ? [] : changesOf(before, row),
    });
    before = row;
  }
  return steps;
}

function changesOf({ columns: from }: WrittenRow, { columns: to }: WrittenRow): VersionStep["changed"] {
  return Object.keys(to).filter((column) => JSON.stringify(from[column]) !== JSON.stringify(to[column]))
    .map((column) => ({ column, from: from[column], to: to[column] }));
}
