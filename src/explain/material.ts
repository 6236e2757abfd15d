/** What an explanation is made of: stored messages, and where each of them was read. */
import type { Outcome } from "../core/emit/archive.ts";
import type { StoredMessage } from "../core/event.ts";
import type { Judged } from "../core/judge.ts";

/** A stored message, judged as the processor judges it. */
export interface Material {
  readonly message: StoredMessage;
  readonly judged: Judged;
  /** What the archive says became of it, null when it is not archived (yet). */
  readonly outcome: Outcome | null;
  readonly readFrom: "stream" | "archive";
}

/** Of one event the first message, by stream sequence: the others are its duplicates. */
export function firstOfEach(materials: readonly Material[]): Material[] {
  const first = new Map<string, Material>();
  for (const material of materials) {
    const { uid } = material.judged.decoded.envelope;
    const known = first.get(uid);
    if (known === undefined || material.message.streamSequence < known.message.streamSequence) first.set(uid, material);
  }
  return [...first.values()];
}

/** The stream sequences of an event among these messages, ascending. */
export function sequencesOf(materials: readonly Material[], uid: string): number[] {
  return materials.filter(({ judged }) => judged.decoded.envelope.uid === uid)
    .map(({ message }) => message.streamSequence).sort((a, b) => a - b);
}
