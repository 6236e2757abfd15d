/** What `init` may change of a stream that is there: nothing that loses what is stored, unless it is told to. */
import type { JetStreamManager, StreamConfig } from "nats";
import * as assert from "uvu/assert";
import { LatecomerError } from "../../src/errors.ts";
import { wantedStreams } from "../../src/nats/definitions.ts";
import { applyStreams, planStreams } from "../../src/nats/provision.ts";
import { describe } from "../helpers/suite.ts";

const DAY_MS = 86_400_000;
const SETTINGS = { replicas: 1, streamRetentionMs: 7 * DAY_MS };

/** A server that has every stream, the event stream otherwise than it should be; it notes which are changed. */
function serverWith(otherwise: Partial<StreamConfig>): { jsm: JetStreamManager; changed: string[] } {
  const changed: string[] = [];
  const configOf = (name: string) => {
    const wanted = wantedStreams(SETTINGS).find((stream) => stream.name === name)!;
    return { ...wanted, ...(name === "LIVEPEER_EVENTS" ? otherwise : {}) };
  };
  const streams = {
    info: (name: string) => Promise.resolve({ config: configOf(name) }),
    add: () => Promise.reject(new Error("all are there")),
    update: (name: string) => Promise.resolve(changed.push(name)),
  };
  return { jsm: { streams } as unknown as JetStreamManager, changed };
}

/** What becomes of the event stream, and which streams are changed, or the code of the refusal. */
async function applied(otherwise: Partial<StreamConfig>, force: boolean): Promise<[string, string]> {
  const { jsm, changed } = serverWith(otherwise);
  const plans = await planStreams(jsm, SETTINGS);
  const { action } = plans.find(({ name }) => name === "LIVEPEER_EVENTS")!;
  try {
    await applyStreams(jsm, plans, force);
    return [action, changed.join()];
  } catch (error) {
    assert.equal(changed, [], "refused before the first change");
    return [action, (error as LatecomerError).code];
  }
}

describe("a stream that is not as it should be", (test) => {
  const changes: readonly (readonly [what: string, otherwise: Partial<StreamConfig>, narrows: boolean])[] = [
    ["would keep longer", { max_age: 6 * DAY_MS * 1_000_000 }, false],
    ["would keep less", { max_age: 8 * DAY_MS * 1_000_000 }, true],
    ["would keep less than all", { max_age: 0 }, true],
    ["would take more subjects", { subjects: [] }, false],
    ["would take fewer subjects", { subjects: ["events.>", "more.>"] }, true],
    ["would have fewer replicas", { num_replicas: 3 }, true],
  ];
  for (const [what, otherwise, narrows] of changes) {
    test(`is changed where it ${what}${narrows ? ", under --force alone" : ""}`, async () => {
      assert.equal(await applied(otherwise, false), ["update", narrows ? "STREAMS_NARROW" : "LIVEPEER_EVENTS"]);
      assert.equal(await applied(otherwise, true), ["update", "LIVEPEER_EVENTS"]);
    });
  }

  test("is left alone where nothing differs, and refused under --force too where the server cannot change it", async () => {
    assert.equal(await applied({}, false), ["keep", ""]);
    for (const force of [false, true]) {
      assert.equal(await applied({ storage: "memory" as StreamConfig["storage"] }, force), [
        "refuse",
        "STREAMS_NARROW",
      ]);
    }
  });
});
