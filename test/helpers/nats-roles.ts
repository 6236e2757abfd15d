/**
 * A nats-server that runs the configuration of `deploy/nats/` as it stands: its accounts, permissions and TLS, with
 * passwords and certificates that are made for the test. Its trace tells what each user has published.
 */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, cpSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { createConnection } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { connect, type NatsConnection } from "nats";
import { ensureNatsServer } from "../../src/local/nats-install.ts";
import { freePort } from "../../src/local/nats-server.ts";
import type { NatsSettings } from "../../src/nats/connection.ts";
import { applyStreams, planStreams } from "../../src/nats/provision.ts";
import { eventually } from "./cluster.ts";

export const NATS_FOLDER = fileURLToPath(new URL("../../deploy/nats/", import.meta.url));
const CONFIGURATION = "nats-2.9.conf";

/** What a user may publish, by the configuration: patterns of subjects. */
export function publishPermissions(): Map<string, string[]> {
  const text = readFileSync(join(NATS_FOLDER, "accounts.conf"), "utf8");
  const users = text.matchAll(/user: (\w+)\n[^[]*subscribe: \[ "_INBOX\.>" \]\s+publish: \{ allow: \[([^\]]*)\]/g);
  return new Map([...users].map(([, user, list]) => [user!, [...list!.matchAll(/"([^"]+)"/g)].map(([, one]) => one!)]));
}

/** True when a pattern of NATS covers a subject. */
export function covers(pattern: string, subject: string): boolean {
  const tokens = subject.split(".");
  const parts = pattern.split(".");
  for (const [at, part] of parts.entries()) {
    if (part === ">") return tokens.length > at;
    if (tokens[at] === undefined || (part !== "*" && part !== tokens[at])) return false;
  }
  return parts.length === tokens.length;
}

/** Where the parts of a server are, and what it is told. */
interface Place {
  readonly program: string;
  readonly configuration: string;
  readonly env: Readonly<Record<string, string>>;
  readonly passwords: ReadonlyMap<string, string>;
  readonly port: number;
  readonly log: string;
  /** Path of the certificate of the authority that signed the server's. */
  readonly ca: string;
}

export class RoleServer {
  readonly #place: Place;

  constructor(place: Place) {
    this.#place = place;
  }

  get address(): string {
    return `localhost:${this.#place.port}`;
  }

  /** The settings with which a process connects as a role. */
  settings(role: string): NatsSettings {
    const { passwords, ca: natsCa } = this.#place;
    const natsUrl = `tls://${role}:${passwords.get(role)}@${this.address}`;
    return { natsUrl, natsCa, natsCreds: "", natsCert: "", natsKey: "" };
  }

  /** The same as a command's environment. */
  env(role: string): Record<string, string> {
    const { natsUrl, natsCa } = this.settings(role);
    return { NATS_URL: natsUrl, NATS_CA: natsCa };
  }

  /** A connection of a role, which need not be one that may use JetStream. */
  connect(role: string): Promise<NatsConnection> {
    const { passwords, ca } = this.#place;
    const tls = { ca: readFileSync(ca, "utf8") };
    return connect({ servers: this.address, user: role, pass: passwords.get(role)!, tls });
  }

  /** What the server says of a configuration of the folder. */
  checkConfiguration(name: string): string {
    const { program, configuration, env } = this.#place;
    const { stdout, stderr } = spawnSync(program, ["-t", "-c", join(configuration, name)], { env, encoding: "utf8" });
    return stdout + stderr;
  }

  /** What the server refused so far: user and subject of each publish. */
  refused(): { readonly user: string; readonly subject: string }[] {
    const lines = this.#lines(/Publish Violation - User "(\w+)", Subject "([^"]+)"/g);
    return [...lines].map(([, user, subject]) => ({ user: user!, subject: subject! }));
  }

  /** The subjects that each user has published on so far, acks included. */
  published(): Map<string, Set<string>> {
    const users = new Map<string, string>();
    const subjects = new Map<string, Set<string>>();
    for (
      const [, client, user, subject] of this.#lines(/cid:(\d+) .*<<- \[(?:CONNECT .*"user":"(\w+)"|H?PUB (\S+) )/g)
    ) {
      if (user !== undefined) users.set(client!, user);
      const by = users.get(client!) ?? "";
      if (subject !== undefined) subjects.set(by, (subjects.get(by) ?? new Set()).add(subject));
    }
    return subjects;
  }

  #lines(pattern: RegExp): Iterable<RegExpExecArray> {
    return readFileSync(this.#place.log, "utf8").matchAll(pattern);
  }
}

/** Runs with a connection of a role. */
export async function withRole(server: RoleServer, role: string, use: (nc: NatsConnection) => Promise<unknown>) {
  const nc = await server.connect(role);
  try {
    await use(nc);
  } finally {
    await nc.close();
  }
}

/** Makes the streams as the operator. */
export async function provision(server: RoleServer): Promise<void> {
  await withRole(server, "operator", async (nc) => {
    const jsm = await nc.jetstreamManager();
    await applyStreams(jsm, await planStreams(jsm, { replicas: 1, streamRetentionMs: 86_400_000 }), false);
  });
}

/** Runs with a server, and with another number of partitions than the configuration's if one is given. */
export async function withRoleServer(
  folder: string,
  use: (server: RoleServer) => Promise<void> | void,
  partitions = 8,
): Promise<void> {
  const place = await prepare(folder, partitions);
  const log = openSync(place.log, "w");
  // Flags win over the file: elsewhere, and with a trace.
  const elsewhere = ["-a", "127.0.0.1", "-p", `${place.port}`, "-m", `${await freePort()}`, "-V"];
  const child = spawn(place.program, ["-c", join(place.configuration, CONFIGURATION), ...elsewhere], {
    stdio: ["ignore", log, log],
    env: place.env,
  });
  closeSync(log);
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  try {
    await eventually("the server listens", async () => {
      if (child.exitCode !== null) throw new Error(readFileSync(place.log, "utf8"));
      return await listens(place.port);
    });
    await use(new RoleServer(place));
  } finally {
    child.kill("SIGKILL");
    await ended;
  }
}

async function prepare(folder: string, partitions: number): Promise<Place> {
  const configuration = join(folder, "configuration");
  cpSync(NATS_FOLDER, configuration, { recursive: true });
  const ingest = readFileSync(join(NATS_FOLDER, "ingest.conf"), "utf8");
  writeFileSync(join(configuration, "ingest.conf"), ingest.replace("partition(8,3)", `partition(${partitions},3)`));
  const accounts = readFileSync(join(NATS_FOLDER, "accounts.conf"), "utf8");
  const roles = [...accounts.matchAll(/\$NATS_(\w+)_PASSWORD/g)].map(([, role]) => role!);
  // A letter first: the server takes a value that begins with digits for a number.
  const passwords = new Map(roles.map((role) => [role.toLowerCase(), `p${randomBytes(12).toString("hex")}`]));
  const { ca, cert, key } = certificates(folder);
  return {
    program: await ensureNatsServer(),
    configuration,
    env: {
      NATS_STORE_DIR: join(folder, "store"),
      NATS_TLS_CERT: cert,
      NATS_TLS_KEY: key,
      ...Object.fromEntries([...passwords].map(([role, secret]) => [`NATS_${role.toUpperCase()}_PASSWORD`, secret])),
    },
    passwords,
    port: await freePort(),
    log: join(folder, "server.log"),
    ca,
  };
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(port, "127.0.0.1");
    const end = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once("data", () => end(true));
    socket.once("error", () => end(false));
  });
}

/** An authority, and a certificate of it for this machine; good for a day. */
export function certificates(folder: string): { ca: string; cert: string; key: string } {
  const at = join(folder, "tls");
  mkdirSync(at, { recursive: true });
  const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: at, stdio: "pipe" });
  const fresh = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"];
  openssl("req", "-x509", ...fresh, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Authority of a test");
  openssl(
    ...["req", "-x509", ...fresh, "-CA", "ca.pem", "-CAkey", "ca.key", "-keyout", "key.pem", "-out", "cert.pem"],
    ...[
      "-subj",
      "/CN=nats",
      "-addext",
      "subjectAltName=DNS:localhost",
      "-addext",
      "basicConstraints=critical,CA:FALSE",
    ],
  );
  return { ca: join(at, "ca.pem"), cert: join(at, "cert.pem"), key: join(at, "key.pem") };
}
