/** Amending a message by hand: members of its JSON are set, and the rest stays as it is. */
import { type Json, parseJsonBytes, parseJsonText } from "./json.ts";

/** One member to set: where it is, from the root, and what it shall be. */
export interface Assignment {
  readonly path: readonly string[];
  readonly value: Json;
}

/** The amended bytes, or why the message cannot be amended. */
export type Amended = { readonly ok: true; readonly bytes: Uint8Array } | { readonly ok: false; readonly why: string };

type Container = { [key: string]: Json };

const encoder = new TextEncoder();

/**
 * Reads `data.stream_id=abc`: names joined by dots, a number for a place in an array; the value is JSON, or text as it
 * stands where it is none. Undefined for anything else. Names that contain a dot cannot be told.
 */
export function parseAssignment(text: string): Assignment | undefined {
  const at = text.indexOf("=");
  const path = text.slice(0, Math.max(0, at)).split(".");
  if (at < 1 || path.some((name) => name === "" || name === "__proto__")) return undefined;
  const written = text.slice(at + 1);
  const parsed = parseJsonText(written);
  return { path, value: parsed.ok ? parsed.value : written };
}

/**
 * Sets members, in their order; objects that a path lacks are made. JSON that stands as text where a path goes on, as
 * `data` does in exports, becomes what it holds. Without an assignment the bytes are the same.
 */
export function amend(bytes: Uint8Array, assignments: readonly Assignment[]): Amended {
  if (assignments.length === 0) return { ok: true, bytes };
  const parsed = parseJsonBytes(bytes);
  if (!parsed.ok) return { ok: false, why: `no member can be set: ${parsed.why}` };
  // Its own container, so that the root is a member like any other.
  const holder: Container = { root: parsed.value };
  for (const { path, value } of assignments) {
    const why = set(holder, ["root", ...path], value);
    if (why !== undefined) return { ok: false, why };
  }
  return { ok: true, bytes: encoder.encode(JSON.stringify(holder.root)) };
}

/** Sets a member, or says why it cannot be. */
function set(holder: Container, path: readonly string[], value: Json): string | undefined {
  let container = holder;
  for (const [at, name] of path.slice(0, -1).entries()) {
    const next = opened(container[name], at > 0);
    const where = path.slice(1, at + 1).join(".") || "the message";
    if (next === undefined) return `${path.slice(1).join(".")} cannot be set: ${where} is neither object nor array`;
    if (Array.isArray(next) && !isPlace(next, path[at + 1]!)) {
      return `${path.slice(1).join(".")} cannot be set: ${where} has no place ${path[at + 1]}`;
    }
    container[name] = next;
    container = next as Container;
  }
  container[path.at(-1)!] = value;
  return undefined;
}

/** What a member holds that a path goes through; a new object where there is nothing, if that may be. */
function opened(held: Json | undefined, mayBeMade: boolean): Json[] | Container | undefined {
  if (held === undefined || held === null) return mayBeMade ? {} : undefined;
  if (typeof held === "object") return held;
  const parsed = typeof held === "string" ? parseJsonText(held) : undefined;
  return parsed?.ok && typeof parsed.value === "object" && parsed.value !== null ? parsed.value : undefined;
}

/** True for a place of an array, the one behind its end included. */
function isPlace(array: readonly Json[], name: string): boolean {
  return /^(0|[1-9]\d*)$/.test(name) && Number(name) <= array.length;
}
