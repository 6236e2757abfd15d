/** What is looked at: a window of event time, of one source or of all. */
import type { Params } from "../clickhouse/client.ts";

export interface Scope {
  /** Every source when undefined. */
  readonly source: string | undefined;
  /** Unix milliseconds; the end is excluded. */
  readonly fromMs: number;
  readonly toMs: number;
}

/**
 * Reasons for which nobody fails: the event names no orchestrator, or comes before its session knows one. A row without a
 * key is one with any other reason.
 */
export const EXCUSED: readonly string[] = ["", "no_orchestrator", "pre_assignment"];

/** The condition that a row is of the scope; `time` is an expression for its instant. */
export function inScope(time: string): string {
  return `${time} >= fromUnixTimestamp64Milli({from:Int64}) AND ${time} < fromUnixTimestamp64Milli({to:Int64})
    AND (source = {source:String} OR {anySource:UInt8} = 1)`;
}

/** The parameters of that condition, and of `{excused:Array(String)}`. */
export function paramsOf({ source, fromMs, toMs }: Scope): Params {
  return {
    source: source ?? "",
    anySource: source === undefined ? 1 : 0,
    from: String(fromMs),
    to: String(toMs),
    excused: [...EXCUSED],
  };
}
