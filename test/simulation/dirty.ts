/** The marks of the rollup's minutes, and whether each was made after the last change of its minute. */
import type { Row } from "../../src/core/emit/row.ts";
import { type Minute, Minutes, minuteSubject } from "../../src/core/minute.ts";
import type { DirtyMinutes } from "../../src/ports.ts";
import type { Process } from "./process.ts";

export class DirtyMinuteServer {
  /** The subjects of minutes whose samples have changed since they were last marked. */
  readonly unmarked = new Set<string>();

  changed(sample: Row): void {
    for (const minute of minutesOf([sample])) this.unmarked.add(minuteSubject(minute));
  }

  mark(subject: string): void {
    this.unmarked.delete(subject);
  }
}

/** The minutes in which rows of samples lie. */
export function minutesOf(samples: readonly Row[]): Minute[] {
  const minutes = new Minutes();
  for (const { source, sample_ts } of samples) minutes.add(source as string, sample_ts as number);
  return minutes.all();
}

export function openDirtyMinutes(server: DirtyMinuteServer, process: Process): DirtyMinutes {
  const mark = (subject: string) => process.call("mark", () => server.mark(subject));
  return { mark: async (minutes) => void await Promise.all(minutes.map((minute) => mark(minuteSubject(minute)))) };
}
