/** Finds nats-server on this machine, or installs it. */
import { ensureInstalled, findInstalled, type Places, type Wanted } from "./install.ts";

const NATS_SERVER: Wanted = {
  names: ["nats-server"],
  missing: "NATS_SERVER_MISSING",
  advice: "install nats-server 2.9 or later and put it on the PATH",
};

/** The path of the nats-server program, or `undefined` when it is in none of the places. */
export function findNatsServer(places: Places = {}): string | undefined {
  return findInstalled(NATS_SERVER, places);
}

/**
 * The path of the nats-server program, installed first when that needs no question. On Debian the package may also start
 * a server of its own, which is never used here. Throws `NATS_SERVER_MISSING` (unavailable) with the command to type.
 */
export function ensureNatsServer(places: Places = {}): Promise<string> {
  return ensureInstalled(NATS_SERVER, places);
}
