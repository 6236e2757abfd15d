/** What verify finds: a stored event that is not accounted for exactly once, and what to do about it. */

export type FindingKind =
  | "missing"
  | "not_processed"
  | "contradicted"
  | "counted_twice"
  | "foreign"
  | "no_dead_letter"
  | "stray_dead_letter"
  | "no_unknown_row"
  | "no_fact"
  | "session_short"
  | "checkpoint_ahead";

export interface Finding {
  readonly kind: FindingKind;
  readonly streamSequence: number;
  readonly source: string;
  readonly uid: string;
  /** What was found in this case. */
  readonly detail: string;
}

/** What a kind means and what to do, one sentence or two each. */
export const MEANING: Readonly<Record<FindingKind, string>> = {
  missing: "The stream holds the message, a checkpoint says that it is done, and the archive has no row for it: " +
    "start over from the stream, and the rows come again.",
  not_processed:
    "Beyond the checkpoint of its partition, so pending and not lost: wait, or `latecomer run --until-drained`.",
  contradicted: "The archive says another outcome than the message has: another version processed it, or rows were " +
    "changed or lost. Delete the row and start over from the stream.",
  counted_twice: "One message is archived under two identities: two versions that decode differently processed it. " +
    "Delete the rows of the older one.",
  foreign: "A row of a message that the stream does not hold under this sequence: the broker lost messages that were " +
    "processed, and gave their sequences to others. The rows are true; publish the events again if others need them.",
  no_dead_letter: "The message was refused and its dead letter is not there: somebody removed it, or it was lost. " +
    "The bytes are in the event stream.",
  stray_dead_letter:
    "A dead letter of a message that decodes well: another version refused it, or the broker gave the " +
    "sequence of a lost message to this one.",
  no_unknown_row: "An event of an unknown type has no row in raw_unknown_events: start over from the stream.",
  no_fact: "An accepted event has no row in a fact: start over from the stream. None comes for an event that its " +
    "session was too long or too old to take (session_events_ignored).",
  session_short: "The row of a session is not there, or counts fewer events than the stream holds of it: start over " +
    "from the stream. Events that it was too long or too old to take (session_events_ignored) stay uncounted.",
  checkpoint_ahead:
    "A checkpoint lies beyond the end of the stream: the broker lost messages. A processor that starts " +
    "now notices it and reads what has taken their place.",
};
