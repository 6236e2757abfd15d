/** The marks of the rollup's minutes, and whether each was made after the last change of its minute. */
import type { Row } from "../../src/core/emit/row.ts";
import { minutesOf, minuteSubject } from "../../src/core/minute.ts";
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

export function openDirtyMinutes(server: DirtyMinuteServer, process: Process): DirtyMinutes {
  const mark = (subject: string) => process.call("mark", () => server.mark(subject));
  return { mark: async (minutes) => void await Promise.all(minutes.map((minute) => mark(minuteSubject(minute)))) };
}
