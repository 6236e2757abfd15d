/**
 * Finds nats-server on this machine, and installs it with the system's package manager where that needs no question.
 */
import { execFile, execFileSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { LatecomerError } from "../errors.ts";

/** Where programs are looked for. */
export interface Places {
  /** Folders separated as in `PATH`. Default: the process's own `PATH`. */
  path?: string;
  /** Folders looked into after those. Default: where packages put servers, which a user's `PATH` often lacks. */
  others?: readonly string[];
}

const SERVER_FOLDERS = ["/usr/sbin", "/usr/local/bin", "/opt/homebrew/bin"];

/** An installation includes an update of the package lists over a network that may be slow. */
const INSTALL_TIMEOUT_MS = 300_000;

/** The path of the nats-server program, or `undefined` when it is in none of the places. */
export function findNatsServer(places: Places = {}): string | undefined {
  return findProgram("nats-server", places);
}

/**
 * The path of the nats-server program, which is installed first when it is missing and when this takes no password
 * (as root, with `sudo -n`, or with Homebrew). Progress goes to stderr. On Debian the package may also start a
 * server of its own, which is never used here.
 * Throws `NATS_SERVER_MISSING` (unavailable) with the command to type when it could not be installed.
 */
export async function ensureNatsServer(places: Places = {}): Promise<string> {
  const found = findNatsServer(places);
  if (found !== undefined) return found;
  const manager = MANAGERS.find((candidate) => findProgram(candidate.program, places) !== undefined);
  if (manager === undefined) throw missing("install nats-server 2.9 or later and put it on the PATH");
  const commands = manager.commands(findProgram(manager.program, places)!);
  const byHand = commands.map((command) => [...(manager.asRoot ? ["sudo"] : []), ...command].join(" ")).join(" && ");
  const prefix = manager.asRoot ? rootPrefix(places) : [];
  if (prefix === undefined) throw missing(`run: ${byHand}`);
  process.stderr.write(`nats-server is missing; installing it with ${manager.program} (a minute or less)\n`);
  for (const command of commands) {
    const failure = await run([...prefix, ...command]);
    if (failure !== undefined) throw missing(`${command.join(" ")} failed (${failure}); run: ${byHand}`);
  }
  const installed = findNatsServer(places);
  if (installed === undefined) throw missing(`the package brought no program of this name; run: ${byHand}`);
  process.stderr.write(`installed ${installed}\n`);
  return installed;
}

interface Manager {
  program: string;
  asRoot: boolean;
  commands: (program: string) => string[][];
}

const MANAGERS: readonly Manager[] = [
  {
    program: "apt-get",
    asRoot: true,
    // A fresh container has no package lists. Another apt may be at work: wait for its lock instead of failing.
    commands: (apt) => [
      ["env", "DEBIAN_FRONTEND=noninteractive", apt, "-o", "DPkg::Lock::Timeout=60", "update", "-q"],
      [
        ...["env", "DEBIAN_FRONTEND=noninteractive", apt, "-o", "DPkg::Lock::Timeout=60"],
        ...["install", "-q", "-y", "--no-install-recommends", "nats-server"],
      ],
    ],
  },
  { program: "apk", asRoot: true, commands: (apk) => [[apk, "add", "--no-cache", "nats-server"]] },
  // Not every dnf repository has it; `install` then fails and says so.
  { program: "dnf", asRoot: true, commands: (dnf) => [[dnf, "install", "-q", "-y", "nats-server"]] },
  // Homebrew refuses to run as root.
  { program: "brew", asRoot: false, commands: (brew) => [[brew, "install", "--quiet", "nats-server"]] },
];

function missing(advice: string): LatecomerError {
  return new LatecomerError("NATS_SERVER_MISSING", "unavailable", `nats-server is not installed: ${advice}`);
}

function findProgram(
  name: string,
  { path = process.env.PATH ?? "", others = SERVER_FOLDERS }: Places,
): string | undefined {
  return [...path.split(delimiter), ...others].filter((folder) => folder !== "").map((folder) => join(folder, name))
    .find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** What to put before a command to run it as root without being asked anything; `undefined` when that cannot be. */
function rootPrefix(places: Places): string[] | undefined {
  if (process.getuid?.() === 0) return [];
  const sudo = findProgram("sudo", places);
  if (sudo === undefined) return undefined;
  try {
    execFileSync(sudo, ["-n", "true"], { stdio: "ignore", timeout: 5_000 });
    return [sudo, "-n"];
  } catch {
    return undefined; // It would ask for a password.
  }
}

/** Runs a command to its end; returns why it failed, in its own last words, or `undefined`. */
function run([program, ...args]: string[]): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile(program!, args, { timeout: INSTALL_TIMEOUT_MS, maxBuffer: 16 << 20 }, (error, stdout, stderr) => {
      const words = `${stdout}\n${stderr}`.trim().split("\n").slice(-3).join(" | ");
      resolve(error === null ? undefined : words === "" ? error.message : words);
    });
  });
}
