/** The topics of production: what was counted in each, and how its streams fare. */

/** Types, and how many messages there are of each among many. */
export type Mix = readonly (readonly [type: string, count: number])[];

export interface Topic {
  /** Of 7,000 messages. */
  readonly mix: Mix;
  /** Shares of streams that find no orchestrator, and that fail with one. */
  readonly unserved: number;
  readonly failing: number;
  /** Streams that are served are many short and few long ones between these, in milliseconds. */
  readonly shortestMs: number;
  readonly longestMs: number;
  /** The share of streams that testers make, known by their names. */
  readonly testers: number;
}

export const TOPICS = {
  /** Of users: long streams, most of which work, and types that nobody reads. */
  network_events: {
    mix: [
      ["pipelines_api_request", 2_712],
      ["webrtc_stats", 1_296],
      ["stream_trace", 890],
      ["stream_ingest_metrics", 788],
      ["ai_stream_status", 672],
      ["create_new_payment", 447],
      ["ai_stream_events", 161],
      ["network_capabilities", 24],
      ["discovery_results", 10],
    ],
    unserved: 0.15,
    failing: 0.1,
    // Two minutes on average.
    shortestMs: 30_000,
    longestMs: 360_000,
    testers: 0.2,
  },
  /**
   * Of testers: of 386 streams 89 had samples, 20 of these no frame. How long they last is such that their marks come to
   * nearly all of the traces that were counted.
   */
  streaming_events: {
    mix: [
      ["stream_trace", 2_992],
      ["ai_stream_events", 1_444],
      ["discovery_results", 1_032],
      ["ai_stream_status", 671],
      ["create_new_payment", 592],
      ["network_capabilities", 269],
    ],
    unserved: 0.77,
    failing: 0.22,
    shortestMs: 15_000,
    longestMs: 90_000,
    testers: 1,
  },
} as const satisfies Readonly<Record<string, Topic>>;

/** The share of a type in a topic. */
export function shareOf({ mix }: Topic, type: string): number {
  const of = (wanted: (one: string) => boolean) => mix.reduce((sum, [one, n]) => wanted(one) ? sum + n : sum, 0);
  return of((one) => one === type) / of(() => true);
}

/** Types in the shares of a mix, spread evenly and without end, each with how many of it came before. */
export function* interleaved(mix: Mix): Generator<[type: string, nth: number]> {
  const made = mix.map(() => 0);
  for (;;) {
    // Always the type that lags furthest behind its share.
    let next = 0;
    for (let at = 1; at < mix.length; at++) if (made[at]! * mix[next]![1] < made[next]! * mix[at]![1]) next = at;
    yield [mix[next]![0], made[next]!++];
  }
}
