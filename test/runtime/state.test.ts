/** What several writers of one checkpoint leave, over a bucket in memory. */
import * as assert from "uvu/assert";
import type { Checkpoint } from "../../src/core/checkpoint.ts";
import type { Buckets } from "../../src/ports.ts";
import { State } from "../../src/runtime/state.ts";
import { describe } from "../helpers/suite.ts";
import { BucketServer } from "../simulation/bucket.ts";
import { Scheduler } from "../simulation/scheduler.ts";

const FOUND: Checkpoint = {
  doneSeq: 20,
  rewindSeq: 21,
  doneAtMs: 5_000,
  held: 0,
  heldSeq: 0,
  lastSession: "",
  generation: 1,
  hash: "rules",
};
const PLANNED = { ...FOUND, doneSeq: 15, rewindSeq: 10, doneAtMs: 4_000 };

function stateOf(text: string): State {
  const server = new BucketServer("checkpoints", new Scheduler());
  server.put("0", text, 0);
  const checkpoints = {
    get: (key: string) => Promise.resolve(server.get(key)),
    put: (key: string, value: string, revision: number) => Promise.resolve(server.put(key, value, revision)),
  };
  return new State({ checkpoints } as unknown as Buckets);
}

describe("resetting a checkpoint", (test) => {
  test("takes the place of the one that was found, though it lies behind it, or could not be read", async () => {
    for (const [text, found] of [[JSON.stringify(FOUND), FOUND], ["{", "corrupt"]] as const) {
      const state = stateOf(text);
      await state.resetCheckpoint("0", found, PLANNED);
      assert.equal(await state.loadCheckpoint("0"), PLANNED);
    }
  });

  test("leaves what another writer has reached since it was found", async () => {
    const reached = { ...FOUND, doneSeq: 22, rewindSeq: 23, doneAtMs: 6_000 };
    const state = stateOf(JSON.stringify(reached));
    await state.resetCheckpoint("0", FOUND, PLANNED);
    assert.equal(await state.loadCheckpoint("0"), reached);
  });
});
