/** The real events of `test/fixtures/production`, file by file. */
import { readdirSync, readFileSync } from "node:fs";
import type { Envelope, Wire } from "./events.ts";

const FOLDER = new URL("../fixtures/production/", import.meta.url);

/** The names of the files, in order. */
export function productionFiles(): string[] {
  return readdirSync(FOLDER).filter((name) => name.endsWith(".jsonl")).sort();
}

/** The events of a file, in its order. */
export function productionEvents(file: string): Wire[] {
  const lines = readFileSync(new URL(file, FOLDER), "utf8").trim().split("\n");
  return lines.map((line) => ({ source: "production", envelope: JSON.parse(line) as Envelope }));
}
