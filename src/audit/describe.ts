/** A schedule in words, for whoever looks at what it shows. */
import { decode, eventTimeOf } from "../core/decode.ts";
import { formatInstant } from "../core/time.ts";
import type { Arrival, Schedule, Step } from "./schedule.ts";
import type { Stage } from "./world.ts";

/** The messages in the order of their arrival, and what is done with them, one line each. */
export function describeSchedule(schedule: Schedule): { readonly messages: string[]; readonly steps: string[] } {
  const { arrivals, steps, survivors, writers } = schedule;
  const who = (writer: number) => writers === 1 ? "the writer" : `writer ${writer + 1}`;
  return {
    messages: arrivals.map(describeArrival),
    steps: [
      ...steps.map((step) => describeStep(step, who(step.writer))),
      ...survivors.map((writer) => `${who(writer)} takes, commits and sees everything that is left`),
    ],
  };
}

function describeArrival({ input: { message }, place }: Arrival): string {
  const decoded = decode(message);
  const { source, id, type } = decoded.envelope;
  const timeMs = eventTimeOf(decoded);
  const time = timeMs === undefined ? "" : ` of ${formatInstant(timeMs)}`;
  return `message ${place}: ${source} ${type || "unreadable"} ${id}${time} (stream sequence ${message.streamSequence})`;
}

const DURABLE: Readonly<Record<Stage, string>> = {
  "nothing": "with nothing of its batch durable",
  "half the rows": "with half of the rows written",
  "rows": "with the rows written, and no state",
  "state": "with rows and state written, and no checkpoint",
  "checkpoint": "with its batch durable",
};

function describeStep(step: Step, writer: string): string {
  switch (step.do) {
    case "take":
      return `${writer} takes partition ${step.partition} up to message ${step.upTo}`;
    case "commit":
      return `${writer} commits partition ${step.partition}`;
    case "apply":
      return `${writer} sees ${
        step.count === 1 ? "one" : `up to ${step.count}`
      } of the stored snapshots that it has not seen (number ${step.pick + 1}, counted round)`;
    case "repeat":
      return `${writer} sees a snapshot again (number ${step.pick + 1} of those it has seen, counted round)`;
    case "crash":
      return `${writer} dies while it commits partition ${step.partition}, ${DURABLE[step.stage]}, and starts again`;
  }
}
