/**
 * A nats-server of our own on this machine, for `dev`, `demo` and the tests: loopback only, JetStream on,
 * its own folder, stopped by its process id and never by its name.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join, resolve as resolvePath } from "node:path";
import { connect } from "nats";
import { LatecomerError } from "../errors.ts";
import { ensureNatsServer } from "./nats-install.ts";

/** A running nats-server. */
export interface LocalNats {
  /** `nats://127.0.0.1:<port>`. */
  readonly url: string;
  /** Give it again to start a server on the same port with the same folder. */
  readonly port: number;
  readonly pid: number;
  /** Sends the signal (default SIGTERM) and resolves when the process has ended, killed after 10 s. */
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** Ends the process with SIGKILL, as a crash would, and resolves when it is gone. */
  kill(): Promise<void>;
}

/** One that is a process of its own. */
export interface NatsProcess extends LocalNats {
  /** Resolves when the process has ended, whoever ended it. */
  readonly ended: Promise<void>;
  /** What its log ends with. */
  lastLines(): string;
}

export interface NatsServerOptions {
  /** Holds the configuration, the log of the last run and JetStream's files; made when missing, never removed. */
  folder: string;
  /** 0 or absent: a free one. */
  port?: number;
  /** More lines for the configuration file; they come last, so they win. */
  configText?: string;
  /**
   * What ends it when this process exits: SIGTERM (the default), for which it closes its files, or SIGKILL where these are
   * removed at once, which cannot be done while it writes.
   */
  exitSignal?: "SIGTERM" | "SIGKILL";
}

/** Larger than NATS's default of 1 MB: a capability snapshot of a whole network is a single message. */
const MAX_PAYLOAD_BYTES = 8 << 20;

/** Until JetStream answers: 0.2 s on an idle machine, more when it has a large store to read. */
const READY_TIMEOUT_MS = 30_000;
const READY_POLL_MS = 20;

const STOP_TIMEOUT_MS = 10_000;

/**
 * Below the range from which systems take ports for outgoing connections. A client that keeps trying a port in that
 * range can connect to itself, and then the server cannot have its port back.
 */
const FREE_PORTS = { first: 14_000, count: 18_000 };

/**
 * Starts a server and resolves when its JetStream answers. It ends when this process does.
 * Throws `NATS_SERVER_MISSING` as `ensureNatsServer` does, `NATS_FOLDER_LOCKED` when a server already runs on the
 * folder (two would spoil its files), `NATS_FOLDER_UNUSABLE` when the folder cannot be written, and
 * `NATS_SERVER_FAILED` with the last lines of its log; all `unavailable`.
 */
export async function startNatsServer(options: NatsServerOptions): Promise<NatsProcess> {
  const program = await ensureNatsServer();
  const folder = resolvePath(options.folder);
  writing(folder, () => mkdirSync(folder, { recursive: true }));
  refuseSecondServer(folder);
  const port = options.port || await freePort();
  // Asked beforehand, for the check below cannot tell our server from another one that answers on the port.
  if (!await isFree(port)) {
    throw new LatecomerError(
      "NATS_SERVER_FAILED",
      "unavailable",
      `port ${port} on 127.0.0.1 is taken by another program`,
    );
  }
  const url = `nats://127.0.0.1:${port}`;
  const configPath = writing(folder, () => writeConfig(folder, port, options.configText ?? ""));
  const child = launch(program, configPath, folder);
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  // On exit there is no time to wait; first of all, so that whoever removes the folder then comes after it.
  const onExit = () => child.kill(options.exitSignal);
  process.prependOnceListener("exit", onExit);
  ended.then(() => process.off("exit", onExit));
  const stop = async (signal: NodeJS.Signals = "SIGTERM"): Promise<void> => {
    child.kill(signal);
    const impatience = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    await ended;
    clearTimeout(impatience);
  };
  try {
    await untilReady(url, child);
  } catch (error) {
    await stop("SIGKILL");
    throw new LatecomerError(
      "NATS_SERVER_FAILED",
      "unavailable",
      `nats-server on ${url} did not get ready. The last lines of its log:\n${lastLines(folder)}`,
      { cause: error },
    );
  }
  return { url, port, pid: child.pid!, ended, lastLines: () => lastLines(folder), stop, kill: () => stop("SIGKILL") };
}

/** What writes into the folder, and says so where it cannot. */
function writing<Result>(folder: string, write: () => Result): Result {
  try {
    return write();
  } catch (cause) {
    const message = `the folder ${folder} of nats-server cannot be written: ${(cause as Error).message}`;
    throw new LatecomerError("NATS_FOLDER_UNUSABLE", "unavailable", message, { cause });
  }
}

function writeConfig(folder: string, port: number, more: string): string {
  const path = join(folder, "nats-server.conf");
  const lines = [
    `listen: "127.0.0.1:${port}"`,
    `max_payload: ${MAX_PAYLOAD_BYTES}`,
    `pid_file: ${JSON.stringify(pidPath(folder))}`,
    `jetstream: { store_dir: ${JSON.stringify(join(folder, "jetstream"))} }`,
    more,
  ];
  writeFileSync(path, `${lines.join("\n")}\n`);
  return path;
}

function launch(program: string, configPath: string, folder: string): ChildProcess {
  // Straight into a file: a pipe would fill up when nobody reads, and break when we die first.
  const log = writing(folder, () => openSync(logPath(folder), "w"));
  try {
    const child = spawn(program, ["-c", configPath], { stdio: ["ignore", log, log] });
    // An error is also the end of waiting: `untilReady` sees that there is no process.
    child.on("error", () => child.emit("exit"));
    // A server that somebody forgot to stop must not keep this process alive.
    child.unref();
    return child;
  } finally {
    closeSync(log);
  }
}

/** Asks JetStream until it answers, the process ends, or the time is over. */
async function untilReady(url: string, child: ChildProcess): Promise<void> {
  let reason: unknown = new Error("no attempt was made");
  for (const deadline = Date.now() + READY_TIMEOUT_MS; Date.now() < deadline;) {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) {
      throw new Error(`the process ended with ${child.signalCode ?? `exit code ${child.exitCode}`}`);
    }
    try {
      const nc = await connect({ servers: url, reconnect: false, timeout: 2_000 });
      try {
        await (await nc.jetstreamManager()).getAccountInfo();
      } finally {
        await nc.close();
      }
      return;
    } catch (error) {
      // A server with users of its own (`configText`) is up when it turns us away.
      if ((error as { code?: string }).code === "AUTHORIZATION_VIOLATION") return;
      reason = error;
    }
    await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS));
  }
  throw reason;
}

function refuseSecondServer(folder: string): void {
  const pid = runningPid(folder);
  if (pid === undefined) return;
  throw new LatecomerError(
    "NATS_FOLDER_LOCKED",
    "unavailable",
    `nats-server already runs on ${folder}, as process ${pid}; stop it with: kill ${pid}`,
  );
}

/** The process that the folder's pid file names, if it lives and runs on the folder's configuration. */
function runningPid(folder: string): number | undefined {
  let pid: number;
  try {
    pid = Number(readFileSync(pidPath(folder), "utf8").trim());
    if (!Number.isInteger(pid) || pid <= 0) return undefined;
    process.kill(pid, 0);
  } catch {
    writing(folder, () => rmSync(pidPath(folder), { force: true }));
    return undefined; // No file, or what it names is gone.
  }
  // The number may have gone to another program since.
  return commandLineOf(pid).includes(join(folder, "nats-server.conf")) ? pid : undefined;
}

function commandLineOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    // No procfs: macOS.
  }
  try {
    return execFileSync("ps", ["-o", "args=", "-p", String(pid)], { encoding: "utf8" });
  } catch {
    return "";
  }
}

/** A port that nothing listens on, and that no outgoing connection is given. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = FREE_PORTS.first + Math.floor(Math.random() * FREE_PORTS.count);
    if (await isFree(port)) return port;
  }
  throw new LatecomerError("NATS_SERVER_FAILED", "unavailable", "found no free port for nats-server on 127.0.0.1");
}

/** True for a port of this machine on which nobody listens. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
}

function lastLines(folder: string): string {
  try {
    return readFileSync(logPath(folder), "utf8").trimEnd().split("\n").slice(-15).join("\n");
  } catch {
    return "(no log)";
  }
}

function logPath(folder: string): string {
  return join(folder, "nats-server.log");
}

function pidPath(folder: string): string {
  return join(folder, "nats-server.pid");
}
