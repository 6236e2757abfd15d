/** Load made of real events: the bundled ones over and over, each time as other events of other sessions. */
import { readdirSync, readFileSync } from "node:fs";

const FIXTURES = new URL("../fixtures/production/", import.meta.url);
const encoder = new TextEncoder();

/** The mix of the low-volume topic: 4 % capability messages, the rest as in the fixtures. */
const CAPABILITY_SHARE = 0.04;

/** Where the load's time starts, and how far each event moves it: ten events a second. */
const START_MS = 1_767_908_945_000;
const STEP_MS = 100;

/** `count` envelopes in the order of their times; the same call makes the same bytes. */
export function productionLoad(count: number): Uint8Array[] {
  const lines = readdirSync(FIXTURES)
    .filter((file) => file.endsWith(".jsonl"))
    .sort()
    .flatMap((file) => readFileSync(new URL(file, FIXTURES), "utf8").trim().split("\n"))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  const snapshots = lines.filter((line) => line.type === "network_capabilities");
  const others = lines.filter((line) => line.type !== "network_capabilities");
  const every = Math.round(1 / CAPABILITY_SHARE);
  return Array.from({ length: count }, (_, at) => {
    const isSnapshot = at % every === 0;
    const template = isSnapshot ? snapshots[(at / every) % snapshots.length]! : others[at % others.length]!;
    const round = Math.floor(at / others.length);
    const timestamp = START_MS + at * STEP_MS;
    const data = template.data;
    const moved = isSnapshot || Array.isArray(data) ? data : {
      ...(data as object),
      request_id: `${(data as { request_id?: string }).request_id ?? ""}${round}`,
      timestamp,
    };
    return encoder.encode(
      JSON.stringify({ ...template, id: `${template.id}-${at}`, timestamp: String(timestamp), data: moved }),
    );
  });
}
