/**
 * Applies `streams/` to a server: first a plan that shows every difference, then the plan, change by change.
 * Applying twice changes nothing. What would narrow (keep less, take fewer subjects) needs `force`; what the
 * server cannot change in place is refused either way, for deleting a stream deletes events.
 */
import type { JetStreamManager, NatsConnection, StreamConfig } from "nats";
import { isNotFound, natsError } from "./connection.ts";
import { type ProvisionSettings, type WantedStream, wantedStreams } from "./definitions.ts";
import { LatecomerError } from "../errors.ts";

/** One field that differs. */
export interface FieldChange {
  readonly field: string;
  readonly from: string;
  readonly to: string;
  /** True when the change could drop what is stored or refuse what is published today. */
  readonly narrows: boolean;
}

export interface StreamPlan {
  readonly name: string;
  readonly action: "create" | "update" | "keep" | "refuse";
  readonly changes: readonly FieldChange[];
  readonly wanted: WantedStream;
}

/** Fields that JetStream does not change in place. */
const FIXED: ReadonlySet<string> = new Set(["storage", "retention", "deny_delete"]);

/** What the server has against what `streams/` wants. */
export async function planStreams(jsm: JetStreamManager, settings: ProvisionSettings): Promise<StreamPlan[]> {
  const plans: StreamPlan[] = [];
  for (const wanted of wantedStreams(settings)) {
    const present = await currentConfig(jsm, wanted.name);
    const changes = present === undefined ? [] : differences(present, wanted);
    const action = present === undefined
      ? "create"
      : changes.length === 0
      ? "keep"
      : changes.some((change) => FIXED.has(change.field))
      ? "refuse"
      : "update";
    plans.push({ name: wanted.name, action, changes, wanted });
  }
  return plans;
}

/** True when the server is one of a cluster: it tells the name of that, and one by itself tells none. */
export function isClustered(nc: NatsConnection): boolean {
  return (nc.info?.cluster ?? "") !== "";
}

/**
 * Throws NOT_CLUSTERED (usage) when a server by itself is to keep more than one replica. It refuses to make such a
 * stream, but takes the change of one that is there, and refuses that at its next start.
 */
export function requireReplicable(nc: NatsConnection, { replicas }: Pick<ProvisionSettings, "replicas">): void {
  if (replicas === 1 || isClustered(nc)) return;
  throw new LatecomerError(
    "NOT_CLUSTERED",
    "usage",
    `${replicas} replicas need a cluster of nats-servers, and this one is by itself: leave out LATECOMER_REPLICAS`,
  );
}

/** Throws STREAMS_NARROW (usage) when a plan holds a change that may not be made. */
export function requireAllowed(plans: readonly StreamPlan[], force: boolean): void {
  const forbidden = plans.filter((plan) =>
    plan.action === "refuse" || (!force && plan.changes.some((change) => change.narrows))
  );
  if (forbidden.length === 0) return;
  const lines = forbidden.flatMap((plan) =>
    plan.changes.map((change) => `  ${plan.name}: ${change.field} ${change.from} → ${change.to}`)
  );
  throw new LatecomerError(
    "STREAMS_NARROW",
    "usage",
    `these changes could lose what is stored (--force makes those that the server can):\n${lines.join("\n")}`,
  );
}

/** Carries a plan out. Throws before the first change when the plan holds one that may not be made. */
export async function applyStreams(jsm: JetStreamManager, plans: readonly StreamPlan[], force: boolean): Promise<void> {
  requireAllowed(plans, force);
  for (const { action, wanted } of plans) {
    try {
      if (action === "create") await jsm.streams.add(wanted);
      if (action === "update") await jsm.streams.update(wanted.name, wanted);
    } catch (error) {
      throw natsError(error, `${action} stream ${wanted.name}`);
    }
  }
}

async function currentConfig(jsm: JetStreamManager, name: string): Promise<StreamConfig | undefined> {
  try {
    return (await jsm.streams.info(name)).config;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw natsError(error, `read stream ${name}`);
  }
}

function differences(present: StreamConfig, wanted: WantedStream): FieldChange[] {
  const changes: FieldChange[] = [];
  for (const field of Object.keys(wanted) as (keyof WantedStream)[]) {
    const from = shown(present[field]);
    const to = shown(wanted[field]);
    if (from !== to) changes.push({ field, from, to, narrows: isNarrower(field, present, wanted) });
  }
  return changes;
}

function shown(value: unknown): string {
  return Array.isArray(value) ? value.join(" ") : String(value ?? false);
}

function isNarrower(field: keyof WantedStream, present: StreamConfig, wanted: WantedStream): boolean {
  // 0 and -1 mean "no limit" to JetStream.
  const limit = (value: number) => value <= 0 ? Infinity : value;
  switch (field) {
    case "max_age":
    case "max_msgs_per_subject":
      return limit(wanted[field]) < limit(present[field]);
    case "num_replicas":
      return wanted.num_replicas < present.num_replicas;
    case "subjects":
      return present.subjects.some((subject) => !wanted.subjects.includes(subject));
    default:
      return false;
  }
}
