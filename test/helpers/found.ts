/** A made-up state of attribution in which every text that can come from an event tries to be something else. */
import { loadPack, USUAL_PACKS } from "../../src/assert/pack.ts";
import type { Scope } from "../../src/triage/scope.ts";
import { findingsOf } from "../../src/triage/findings.ts";
import type { Offender, OffendingSession } from "../../src/triage/offenders.ts";
import type { Triage } from "../../src/triage/triage.ts";

/** Each does harm where it is taken for markup, for an attribute's end, for a shell's or for a terminal's command. */
export const HOSTILE: readonly string[] = [
  "</td><script>alert(1)</script>",
  `" onmouseover="alert(2)" x="`,
  "' onfocus='alert(3)' autofocus='",
  "<img src=http://127.0.0.1:9/x.png onerror=alert(4)>",
  "&lt;b&gt; $(alert) `alert`; '; alert #",
  "--html=/nowhere",
  "\u0000\u001b[31m\u202egnp.exe",
];

const AT_MS = Date.UTC(2026, 1, 25, 20);
const HOUR_MS = 3_600_000;

const unattributed = (samples: number) => ({
  source: HOSTILE[0]!,
  samples,
  edges: 1,
  reasons: { [HOSTILE[1]!]: samples, no_snapshot: 1 },
  firstMs: AT_MS,
  lastMs: AT_MS + samples,
});

const sessions: OffendingSession[] = HOSTILE.map((session, at) => ({
  ...unattributed(10 ** at),
  session,
  outcomes: ["swapped"],
  wallets: [...HOSTILE],
}));

const offenders = (["wallet", "url", "model"] as const).flatMap((kind) =>
  HOSTILE.map((name, at): Offender => ({ ...unattributed(100 - at), kind, name, sessions: 1, exampleSession: name }))
);

const scope: Scope = { source: HOSTILE[0], fromMs: AT_MS - HOUR_MS, toMs: AT_MS + 2 * HOUR_MS };

/** Everything holds but these. */
const BROKEN: ReadonlySet<string> = new Set([
  "raw_typed_no_dlq_or_quarantine_for_core_types",
  "silver_empty_key_rate",
  "parity_overlap_health",
]);

const packs: Triage["packs"] = USUAL_PACKS.map(loadPack).map(({ name: pack, file, assertions }) => ({
  pack,
  file,
  results: assertions.map(({ name, what }) => ({
    ...{ name, what, error: "", ms: 1 },
    ...(BROKEN.has(name)
      ? { state: "failed", failedRows: 3, diagnostics: { examples: HOSTILE } } as const
      : { state: "passed", failedRows: 0, diagnostics: {} } as const),
  })),
}));

export const FOUND: Triage = {
  scope,
  sound: false,
  findings: findingsOf(scope, packs, [], sessions),
  rates: [
    { fact: "fact_stream_status_samples", attributable: 100, unattributed: 40 },
    { fact: "fact_stream_trace_edges", attributable: 100, unattributed: 5 },
  ],
  reasons: [{ fact: "fact_stream_status_samples", reason: HOSTILE[0]!, rows: 4 }],
  history: {
    stepMs: HOUR_MS / 4,
    buckets: [
      { atMs: AT_MS, attributed: 6, unattributed: { [HOSTILE[0]!]: 2, [HOSTILE[1]!]: 1 } },
      { atMs: AT_MS + HOUR_MS, attributed: 12, unattributed: {} },
    ],
  },
  offenders,
  sessions,
  corrections: [{
    ...{ fact: "fact_stream_status_samples", rows: 9, corrected: 3, healed: 2 },
    delay: { medianMs: 90, p95Ms: 5_000, mostMs: 7_500_000 },
  }],
  late: {
    rows: 2,
    sessions: 1,
    wait: { medianMs: 1, p95Ms: 2, mostMs: 3 },
    healed: HOSTILE.map((text, at) => ({
      ...{ source: text, session: text, rows: at, orchestrator: text, model: text, gpu: text, waitedMs: at * 1_000 },
    })),
  },
  refused: HOSTILE.map((text, at) => ({
    ...{ source: text, reason: text, type: text, letters: at, newestMs: AT_MS, newestSequence: at, details: text },
  })),
  lag: { checks: [{ check: "partition 0", state: "ok", detail: HOSTILE[0]!, fix: "" }], unknown: HOSTILE[3]! },
  freshness: [{ source: HOSTILE[0]!, table: "fact_stream_status_samples", newestMs: AT_MS, lagMinutes: 61 }],
  packs,
};
