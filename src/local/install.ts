/**
 * Programs that we need and do not bring: found on this machine, and installed with the system's package manager where
 * that needs no question.
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

/** A program that is wanted. */
export interface Wanted {
  /** The names that it goes by; the first is the name of its package, too. */
  readonly names: readonly [string, ...string[]];
  /** The code of the error when it cannot be had. */
  readonly missing: string;
  /** What to do where no package manager is known. */
  readonly advice: string;
}

const SERVER_FOLDERS = ["/usr/sbin", "/usr/local/bin", "/opt/homebrew/bin"];

/** An installation includes an update of the package lists over a network that may be slow. */
const INSTALL_TIMEOUT_MS = 300_000;

/** The path of the program, or `undefined` when it is in none of the places. */
export function findInstalled({ names }: Wanted, places: Places = {}): string | undefined {
  return names.map((name) => findProgram(name, places)).find((path) => path !== undefined);
}

/**
 * The path of the program, which is installed first when it is missing and when this takes no password (as root, with
 * `sudo -n`, or with Homebrew). Progress goes to stderr.
 * Throws an error of the wanted code (unavailable) with the command to type when it could not be installed.
 */
export async function ensureInstalled(wanted: Wanted, places: Places = {}): Promise<string> {
  const found = findInstalled(wanted, places);
  if (found !== undefined) return found;
  const [name] = wanted.names;
  const missing = (advice: string) =>
    new LatecomerError(wanted.missing, "unavailable", `${name} is not installed: ${advice}`);
  const manager = MANAGERS.find((candidate) => findProgram(candidate.program, places) !== undefined);
  if (manager === undefined) throw missing(wanted.advice);
  const commands = manager.commands(findProgram(manager.program, places)!, name);
  const byHand = commands.map((command) => [...(manager.asRoot ? ["sudo"] : []), ...command].join(" ")).join(" && ");
  const prefix = manager.asRoot ? rootPrefix(places) : [];
  if (prefix === undefined) throw missing(`run: ${byHand}`);
  process.stderr.write(`${name} is missing; installing it with ${manager.program} (a minute or less)\n`);
  for (const command of commands) {
    const failure = await run([...prefix, ...command]);
    if (failure !== undefined) throw missing(`${command.join(" ")} failed (${failure}); run: ${byHand}`);
  }
  const installed = findInstalled(wanted, places);
  if (installed === undefined) throw missing(`the package brought no program of this name; run: ${byHand}`);
  process.stderr.write(`installed ${installed}\n`);
  return installed;
}

interface Manager {
  program: string;
  asRoot: boolean;
  commands: (program: string, name: string) => string[][];
}

const MANAGERS: readonly Manager[] = [
  {
    program: "apt-get",
    asRoot: true,
    // A fresh container has no package lists. Another apt may be at work: wait for its lock instead of failing.
    commands: (apt, name) => [
      ["env", "DEBIAN_FRONTEND=noninteractive", apt, "-o", "DPkg::Lock::Timeout=60", "update", "-q"],
      [
        ...["env", "DEBIAN_FRONTEND=noninteractive", apt, "-o", "DPkg::Lock::Timeout=60"],
        ...["install", "-q", "-y", "--no-install-recommends", name],
      ],
    ],
  },
  { program: "apk", asRoot: true, commands: (apk, name) => [[apk, "add", "--no-cache", name]] },
  // Not every dnf repository has everything; `install` then fails and says so.
  { program: "dnf", asRoot: true, commands: (dnf, name) => [[dnf, "install", "-q", "-y", name]] },
  // Homebrew refuses to run as root.
  { program: "brew", asRoot: false, commands: (brew, name) => [[brew, "install", "--quiet", name]] },
];

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
