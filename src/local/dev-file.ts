/** `.latecomer/dev.json`: where a running `latecomer dev` can be reached, for commands on the default configuration. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { LatecomerError } from "../errors.ts";

/** The folder for what Latecomer keeps on this machine, below the working directory. */
export const LOCAL_FOLDER = ".latecomer";

const FILE = join(LOCAL_FOLDER, "dev.json");

const schema = v.object({ pid: v.number(), natsUrl: v.string(), clickhouseUrl: v.string() });

export type DevServers = v.InferOutput<typeof schema>;

/** The servers of a living `dev`, or undefined: a file whose process is gone says nothing. */
export function livingDev(): DevServers | undefined {
  try {
    const servers = v.parse(schema, JSON.parse(readFileSync(FILE, "utf8")));
    process.kill(servers.pid, 0); // Signal 0 only asks whether the process is there.
    return servers;
  } catch {
    return undefined;
  }
}

/** Throws DEV_FILE_UNWRITABLE (unavailable). */
export function announceDev(servers: DevServers): void {
  try {
    mkdirSync(LOCAL_FOLDER, { recursive: true });
    writeFileSync(FILE, `${JSON.stringify(servers, null, 2)}\n`);
  } catch (cause) {
    const message = `cannot write ${FILE}: ${(cause as Error).message}`;
    throw new LatecomerError("DEV_FILE_UNWRITABLE", "unavailable", message, { cause });
  }
}

export function withdrawDev(): void {
  rmSync(FILE, { force: true });
}
