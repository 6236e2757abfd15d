/**
 * Reading JSON that strangers wrote.
 *
 * `JSON.parse` accepts more than can be carried on safely: `1e400` becomes infinity, a lone surrogate becomes
 * text that no UTF-8 writer can write, `__proto__` becomes a key that copying code may obey, and depth has no
 * bound. All of these are refused here, in one place, before anything else looks at the value.
 */

/** Real messages nest 7 deep; a little room is left for what upstream may add. */
const DEEPEST = 32;

/** A value as JSON holds it. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** The value, or why it cannot be used. */
export type JsonResult = { readonly ok: true; readonly value: Json } | { readonly ok: false; readonly why: string };

const decoder = new TextDecoder("utf-8", { fatal: true });

/** A surrogate can only come in as an escape: fatal UTF-8 decoding has refused it as bytes. */
const SURROGATE_ESCAPE = /\\u[dD][89a-fA-F]/;
const LONE_SURROGATE = /[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/;

/** Parses bytes as one JSON value. */
export function parseJsonBytes(bytes: Uint8Array): JsonResult {
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    return { ok: false, why: "not valid UTF-8" };
  }
  return parseJsonText(text);
}

/** Parses a text as one JSON value. */
export function parseJsonText(text: string): JsonResult {
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch {
    return { ok: false, why: "not valid JSON" };
  }
  const flaw = flawOf(value, 1, SURROGATE_ESCAPE.test(text));
  return flaw === undefined ? { ok: true, value } : { ok: false, why: flaw };
}

function flawOf(value: Json, depth: number, surrogates: boolean): string | undefined {
  switch (typeof value) {
    case "number":
      return Number.isFinite(value) ? undefined : "a number beyond the range of a double";
    case "string":
      return surrogates && LONE_SURROGATE.test(value) ? "a lone surrogate in a text" : undefined;
    case "object":
      break;
    default:
      return undefined;
  }
  if (value === null) return undefined;
  if (depth > DEEPEST) return `nested deeper than ${DEEPEST}`;
  if (Array.isArray(value)) {
    for (const item of value) {
      const flaw = flawOf(item, depth + 1, surrogates);
      if (flaw !== undefined) return flaw;
    }
    return undefined;
  }
  for (const key in value) {
    if (key === "__proto__") return "a key named __proto__";
    if (surrogates && LONE_SURROGATE.test(key)) return "a lone surrogate in a key";
    const held = value[key]!;
    // Most members are texts, which need no look and no call.
    if (typeof held === "string" && !surrogates) continue;
    const flaw = flawOf(held, depth + 1, surrogates);
    if (flaw !== undefined) return flaw;
  }
  return undefined;
}

/** Writes a value with its keys sorted and nulls left out of objects: one text for every encoding of it. */
export function canonicalJson(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (typeof value === "object" && value !== null) {
    const members = Object.keys(value).sort().filter((key) => value[key] !== null);
    return `{${members.map((key) => `${JSON.stringify(key)}:${canonicalJson(value[key]!)}`).join(",")}}`;
  }
  return JSON.stringify(value);
}
