/** Worlds whose core has a defect, each of a kind that would make rows depend on how events arrive. */
import { World, type WorldSettings } from "../../src/audit/world.ts";
import type { Effects } from "../../src/core/effects.ts";
import type { Row } from "../../src/core/emit/row.ts";
import type { SnapshotFeed } from "../../src/core/feed.ts";
import { PartitionState, type StartingPoint } from "../../src/core/step.ts";

type State = typeof PartitionState;

/** Takes snapshots into account for the samples after them alone. */
class WithoutCorrections extends PartitionState {
  override correct(): void {}
}

/** Counts the batches, and calls that a version. */
class CountedVersions extends PartitionState {
  #batches = 0;

  override seal(): Effects {
    const effects = super.seal();
    this.#batches++;
    const rows = new Map(
      [...effects.rows].map((
        [table, list],
      ) => [table, list.map((row): Row => ({ ...row, version: `${this.#batches}` }))]),
    );
    return { ...effects, rows };
  }
}

/** Lets a restart begin behind everything that was taken, as if no sample were open. */
class RewoundTooFar extends PartitionState {
  override seal(): Effects {
    const effects = super.seal();
    return { ...effects, progress: { ...effects.progress, rewindSeq: effects.progress.takenSeq + 1 } };
  }
}

export const DEFECTS: Readonly<Record<string, State>> = {
  "corrections that are not made": WithoutCorrections,
  "versions out of a counter": CountedVersions,
  "a rewind that passes open samples": RewoundTooFar,
};

/** Makes worlds with a defect, as `newWorld` makes sound ones. */
export function worldsWith(Broken: State) {
  return (settings: WorldSettings, writers: number): World =>
    new (class extends World {
      protected override open(feed: SnapshotFeed, start: StartingPoint): PartitionState {
        return new Broken(this.settings, feed, start);
      }
    })(settings, writers);
}
