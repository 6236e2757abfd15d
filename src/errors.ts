/**
 * What went wrong, in terms a caller can act on: a stable `code` says what it was, `kind` says what to do.
 *
 * Foreign errors are translated once, in the adapter that met them. Nothing above an adapter looks at message texts.
 */

/**
 * What to do about an error.
 * - `retryable`: try the same again after a pause;
 * - `fatal`: a bug of ours, a broken invariant, a refusal; stop without acknowledging;
 * - `usage`: the command line or the configuration is wrong;
 * - `unavailable`: something we depend on is missing or held by another, and trying again will not change that.
 */
export type ErrorKind = "retryable" | "fatal" | "usage" | "unavailable";

/** How a command ended, as its exit code. */
export const EXIT = { done: 0, failed: 1, usage: 2, unavailable: 3 } as const;

/** An error of ours. Its message is written for people and holds neither secrets nor payloads. */
export class LatecomerError extends Error {
  override readonly name: string = "LatecomerError";
  /** Stable and upper case, e.g. `CONFIG_INVALID`; decide on this, never on the message. */
  readonly code: string;
  readonly kind: ErrorKind;

  constructor(code: string, kind: ErrorKind, message: string, options?: { cause?: unknown }) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.kind = kind;
  }
}

/** True when trying the same again after a pause may work. Errors that are not ours are not retryable. */
export function isRetryable(error: unknown): boolean {
  return error instanceof LatecomerError && error.kind === "retryable";
}

/**
 * The exit code of a command that ends with this error: 2 for wrong usage or configuration, 3 when a dependency
 * is unavailable, else 1. A retryable error counts as 3: whoever sees it has given up waiting for the dependency.
 */
export function exitCodeOf(error: unknown): number {
  if (!(error instanceof LatecomerError)) return EXIT.failed;
  if (error.kind === "usage") return EXIT.usage;
  if (error.kind === "unavailable" || error.kind === "retryable") return EXIT.unavailable;
  return EXIT.failed;
}
