/** Errors that excuse a failed start: nobody was there to serve, or the client went away (the upstream contract's list). */
const EXCUSABLE: readonly string[] = [
  "no orchestrators available",
  "mediamtx ingest disconnected",
  "whip disconnected",
  "missing video",
  "ice connection state failed",
  "user disconnected",
];

/** True when the message of an error holds one of the excusable texts, in any case; a blank message excuses nothing. */
export function isExcusable(message: string): boolean {
  const lower = message.toLowerCase();
  return EXCUSABLE.some((text) => lower.includes(text));
}
