/** Where an event that names nobody takes the identity of its rows from. */
import type { SessionEventExplained, SessionExplained } from "./session.ts";
import type { RowExplained } from "./versions.ts";

export interface Borrowed {
  readonly sentence: string;
  /** The segment in which it falls, from 1 on; null when its session did not take it. */
  readonly segment: number | null;
  /** The event whose claim it borrows; null when there is none. */
  readonly from: string | null;
}

/** What an event borrows from its session, as its row says. */
export function borrowedBy(uid: string, session: SessionExplained, rows: readonly RowExplained[]): Borrowed {
  const event = session.events.find((one) => one.uid === uid);
  const segment = session.segments.find(({ number }) => number === event?.segment);
  if (event === undefined || segment === undefined) {
    return { sentence: "Its session is at its bound and did not take it.", segment: null, from: null };
  }
  const { number } = segment;
  if (rows.length === 0) {
    return { sentence: `It falls into segment ${number} of its session, and has no row.`, segment: number, from: null };
  }
  switch (rows[0]!.identity.unattributed_reason) {
    case "pre_assignment":
      return {
        sentence: "It came before its session knew an orchestrator (pre_assignment), which no failure rate counts.",
        segment: number,
        from: null,
      };
    case "":
      // An update states what was known when it came, an edge what its segment came to.
      return rows[0]!.table === "fact_workflow_param_updates"
        ? {
          sentence: `It names nobody and takes what segment ${number} of its session was known to be by then.`,
          segment: number,
          from: knownBy(session, event),
        }
        : {
          sentence: `It names nobody and takes the identity of segment ${number} of its session.`,
          segment: number,
          from: segment.identifiedBy,
        };
    default:
      return { sentence: "It names nobody, and its session never knows an orchestrator.", segment: number, from: null };
  }
}

/** The event that had identified the segment of another when that came. */
function knownBy({ events }: SessionExplained, { uid, segment }: SessionEventExplained): string | null {
  const upTo = events.slice(0, events.findIndex((one) => one.uid === uid));
  const identifies = ({ adds, claim }: SessionEventExplained) =>
    (claim?.orchestrator ?? "") !== "" &&
    adds.some(({ code }) => code === "opens_segment" || code === "identifies_segment");
  return upTo.findLast((one) => one.segment === segment && identifies(one))?.uid ?? null;
}
