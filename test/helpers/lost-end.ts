/** A nats-server that loses the end of a stream: what it had taken in never reached the disk, as after a power cut. */
import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { startNatsServer } from "../../src/local/nats-server.ts";
import { type Cluster, eventually } from "./cluster.ts";

/** Has the server lose what a stream takes in while something is done. */
export type LoseEnd = (stream: string, meanwhile: () => Promise<void>) => Promise<void>;

/** Runs with a server that can lose ends; it is started again for that, and gone afterwards. */
export async function withLostEnds(cluster: Cluster, use: (loseEnd: LoseEnd) => Promise<void>): Promise<void> {
  const folder = join(cluster.folder, "nats");
  const copy = join(cluster.folder, "copy");
  let nats = cluster.nats;
  const restarted = async (meanwhile: () => void) => {
    await nats.kill();
    meanwhile();
    nats = await startNatsServer({ folder, port: nats.port });
    await eventually("connected again", () => cluster.storedCount().then(() => true, () => false));
  };
  try {
    await use(async (stream, meanwhile) => {
      const held = join(folder, "jetstream", "jetstream", "$G", "streams", stream);
      await restarted(() => cpSync(held, copy, { recursive: true }));
      await meanwhile();
      await restarted(() => {
        rmSync(held, { recursive: true });
        cpSync(copy, held, { recursive: true });
      });
    });
  } finally {
    await cluster.close();
    await nats.kill();
  }
}
