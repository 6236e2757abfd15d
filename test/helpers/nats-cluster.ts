/** Several nats-servers on loopback that are one JetStream cluster, each in a folder of its own. */
import { join } from "node:path";
import process from "node:process";
import { type NatsConnection } from "nats";
import { freePort, type LocalNats, startNatsServer } from "../../src/local/nats-server.ts";
import { eventually } from "./cluster.ts";

/** An election takes some seconds, on a loaded machine more. */
const ELECTION_MS = 60_000;

/** A member: its name in the cluster, its port and the server that runs now. */
interface Member {
  readonly name: string;
  readonly port: number;
  server: LocalNats | undefined;
}

export class NatsCluster implements LocalNats {
  readonly #folder: string;
  readonly #members: Member[];
  readonly #routes: number[];

  constructor(folder: string, ports: readonly number[], routes: number[]) {
    this.#folder = folder;
    this.#routes = routes;
    this.#members = ports.map((port, at) => ({ name: `n${at + 1}`, port, server: undefined }));
  }

  /** Starts the members and resolves when they have a leader. */
  static async start(folder: string, size = 3): Promise<NatsCluster> {
    const ports: number[] = [];
    while (ports.length < 2 * size) {
      const port = await freePort();
      if (!ports.includes(port)) ports.push(port);
    }
    const cluster = new NatsCluster(folder, ports.slice(0, size), ports.slice(size));
    try {
      await Promise.all(cluster.#members.map((member) => cluster.restart(member.name)));
    } catch (error) {
      await cluster.kill();
      throw error;
    }
    return cluster;
  }

  get url(): string {
    return this.#members.map(({ port }) => `nats://127.0.0.1:${port}`).join(",");
  }

  get port(): number {
    return this.#members[0]!.port;
  }

  get pid(): number {
    return this.#members[0]!.server?.pid ?? 0;
  }

  /** Starts a member that is not running, on its folder and port. */
  async restart(name: string): Promise<void> {
    const member = this.#members.find((one) => one.name === name)!;
    const at = this.#members.indexOf(member);
    const routes = this.#routes.filter((_, of) => of !== at).map((port) => `"nats://127.0.0.1:${port}"`);
    const cluster = `{ name: test, listen: "127.0.0.1:${this.#routes[at]}", routes: [${routes.join(", ")}] }`;
    member.server = await startNatsServer({
      folder: join(this.#folder, name),
      port: member.port,
      configText: `server_name: ${name}\ncluster: ${cluster}`,
    });
  }

  /** Ends a member with SIGKILL. */
  async killMember(name: string): Promise<void> {
    const member = this.#members.find((one) => one.name === name)!;
    await member.server?.kill();
    member.server = undefined;
  }

  /** Halts a member with SIGSTOP, or lets it go on with SIGCONT. */
  signal(name: string, signal: "SIGSTOP" | "SIGCONT"): void {
    const pid = this.#members.find((one) => one.name === name)!.server?.pid;
    if (pid !== undefined) process.kill(pid, signal);
  }

  async stop(signal?: NodeJS.Signals): Promise<void> {
    await Promise.all(this.#members.map(({ server }) => server?.stop(signal)));
  }

  kill(): Promise<void> {
    return this.stop("SIGKILL");
  }
}

/** The member that leads a stream; waits for an election. */
export async function leaderOf(nc: NatsConnection, stream: string): Promise<string> {
  const jsm = await nc.jetstreamManager();
  let leader: string | undefined;
  await eventually(`a leader of ${stream}`, async () => {
    try {
      leader = (await jsm.streams.info(stream)).cluster?.leader;
    } catch {
      // Nobody answers for it while there is no leader.
    }
    return leader !== undefined && leader !== "";
  }, ELECTION_MS);
  return leader!;
}

/** Resolves when every replica of the stream has all that its leader has. */
export async function inSync(nc: NatsConnection, stream: string): Promise<void> {
  const jsm = await nc.jetstreamManager();
  await eventually(`the replicas of ${stream} are current`, async () => {
    try {
      const { cluster } = await jsm.streams.info(stream);
      return cluster?.leader !== undefined && (cluster.replicas ?? []).every(({ current }) => current);
    } catch {
      return false; // Nobody answers for it while there is no leader.
    }
  }, ELECTION_MS);
}
