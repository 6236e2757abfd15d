/** Takes real time and real chance away, so that nothing in a simulation can depend on them unseen. */

type Holder = Record<string, unknown>;

const FORBIDDEN: readonly [holder: object, name: string][] = [
  [Math, "random"],
  [Date, "now"],
  [performance, "now"],
  [globalThis, "setTimeout"],
  [globalThis, "setInterval"],
];

/** Runs work during which clocks, timers and random numbers throw. */
export async function withoutRealTime<Result>(work: () => Promise<Result>): Promise<Result> {
  const before = FORBIDDEN.map(([holder, name]) => [holder, name, (holder as Holder)[name]] as const);
  for (const [holder, name] of FORBIDDEN) {
    (holder as Holder)[name] = () => {
      throw new Error(`${name} is not for simulations`);
    };
  }
  try {
    return await work();
  } finally {
    for (const [holder, name, original] of before) (holder as Holder)[name] = original;
  }
}
