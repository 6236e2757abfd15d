import { readFileSync } from "node:fs";

/** Bytes in use, in the heap and outside, once what nobody needs is collected; needs `--expose-gc`. */
export function usedBytes(): number {
  const { gc } = globalThis as unknown as { readonly gc: () => void };
  for (let round = 0; round < 3; round++) gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Microseconds of CPU of this process, all of its threads. */
export async function cpu(work: () => unknown): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

/**
 * The most memory that this process has had, in MiB. Not what `getrusage` tells: on Linux that begins with what the process
 * had that started it.
 */
export function peakRssMb(): number {
  let kb = process.resourceUsage().maxRSS;
  try {
    kb = Number(/^VmHWM:\s*(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))![1]);
  } catch {
    // No Linux.
  }
  return Math.round(kb / 1_024);
}
