/** A nats-server whose configuration is changed while it runs. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import type { LocalNats } from "../../src/local/nats-server.ts";

/** Has a server read the configuration in its folder again, with one text in the place of another. */
export function reload(folder: string, { pid }: LocalNats, from: string, to: string): void {
  const path = join(folder, "nats-server.conf");
  writeFileSync(path, readFileSync(path, "utf8").replace(from, to));
  process.kill(pid, "SIGHUP");
}
