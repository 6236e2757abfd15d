/**
 * Reading the fields of objects that strangers wrote.
 *
 * Null and missing are one; a number may come as text; a field of another type is refused, and so is a number that its
 * column could not hold: a silent zero or infinity would be a wrong row.
 */
import { fitsBytes } from "./bytes.ts";

/** An object of JSON. */
export type Fields = Readonly<Record<string, unknown>>;

/** Thrown for a field that cannot be read. Holds the object or list whose field it is, from which its path is found. */
export class Unreadable extends Error {
  readonly of: object;
  readonly field: string;

  constructor(of: object, field: string, why: string) {
    super(why);
    this.of = of;
    this.field = field;
  }
}

const NONE: Fields = {};

const NUMBER_TEXT = /^\s*[+-]?\d+(\.\d+)?([eE][+-]?\d+)?\s*$/;

/** True for an object of JSON, and so for no list. */
export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A text of at most so many characters, `""` where there is none. */
export function text(of: Fields, field: string, longest = Infinity): string {
  const value = of[field];
  if (value === undefined || value === null) return "";
  if (typeof value !== "string") throw new Unreadable(of, field, `expected a text, got ${kindOf(value)}`);
  if (value.length > longest) throw new Unreadable(of, field, `expected at most ${longest} characters`);
  return value;
}

/** A text of at most so many bytes of UTF-8, `""` where there is none. */
export function textOfBytes(of: Fields, field: string, most: number): string {
  const value = text(of, field);
  if (!fitsBytes(value, most)) throw new Unreadable(of, field, `expected at most ${most} bytes`);
  return value;
}

/** A number or numeric text within bounds; null where there is none, or a blank text. */
export function number(of: Fields, field: string, low: number, high: number): number | null {
  return within(of, field, stated(of, field), low, high);
}

/** The same as a whole number: fractions are cut. */
export function whole(of: Fields, field: string, low: number, high: number): number | null {
  const value = stated(of, field);
  return within(of, field, value === null ? null : Math.trunc(value) + 0, low, high);
}

/** An object within; an empty one where there is none. */
export function section(of: Fields, field: string): Fields {
  const value = of[field];
  if (value === undefined || value === null) return NONE;
  if (!isFields(value)) throw new Unreadable(of, field, `expected an object, got ${kindOf(value)}`);
  return value;
}

/** The objects of a list within; none where there is no list. */
export function sections(of: Fields, field: string): readonly Fields[] {
  const value = of[field];
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new Unreadable(of, field, `expected a list, got ${kindOf(value)}`);
  return allFields(value);
}

/** The members of a list, which must all be objects. */
export function allFields(list: readonly unknown[]): readonly Fields[] {
  for (let at = 0; at < list.length; at++) {
    if (!isFields(list[at])) throw new Unreadable(list, String(at), `expected an object, got ${kindOf(list[at])}`);
  }
  return list as readonly Fields[];
}

/** A side fact: a text where there is one, `""` otherwise. */
export function textIfAny(of: Fields, field: string): string {
  const value = of[field];
  return typeof value === "string" ? value : "";
}

/** A side fact: a whole number within bounds, `absent` where there is none, null where what there is cannot be read. */
export function wholeIfAny(
  of: Fields,
  field: string,
  low: number,
  high: number,
  absent: number | null = null,
): number | null {
  const value = numberOf(of[field]);
  if (value === null) return absent;
  const cut = Math.trunc(value ?? NaN) + 0;
  return cut >= low && cut <= high ? cut : null;
}

/** Where an object is within a value, as `.a.b.0`; `""` for the value itself. */
export function pathOf(value: unknown, wanted: object): string | undefined {
  if (value === wanted) return "";
  if (typeof value !== "object" || value === null) return undefined;
  for (const [key, held] of Object.entries(value)) {
    const path = pathOf(held, wanted);
    if (path !== undefined) return `.${key}${path}`;
  }
  return undefined;
}

/** A number, or one as text; null where there is none; undefined for anything else. Never minus zero: in JSON it is zero. */
function numberOf(value: unknown): number | null | undefined {
  if (typeof value === "number") return value + 0;
  if (value === undefined || value === null || value === "") return null;
  return typeof value === "string" && NUMBER_TEXT.test(value) ? Number(value) + 0 : undefined;
}

/** The number that a field states, null where it states none. */
function stated(of: Fields, field: string): number | null {
  const value = numberOf(of[field]);
  if (value === undefined) throw new Unreadable(of, field, `expected a number, got ${kindOf(of[field])}`);
  return value;
}

function within(of: Fields, field: string, value: number | null, low: number, high: number): number | null {
  if (value === null || (value >= low && value <= high)) return value;
  throw new Unreadable(of, field, `expected a number from ${low} to ${high}`);
}

function kindOf(value: unknown): string {
  return Array.isArray(value) ? "a list" : value === null ? "null" : typeof value;
}
