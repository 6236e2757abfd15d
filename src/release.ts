/** Releases of the servers that we talk to. */

/** True for a version, such as `2.9.10` or `24.8.4.13`, before the one with these numbers. */
export function isOlder(version: string, than: readonly number[]): boolean {
  const parts = version.split(/[.-]/).map(Number);
  for (const [at, least] of than.entries()) {
    const part = parts[at] ?? 0;
    if (part !== least) return part < least;
  }
  return false;
}
