/** `latecomer assert` as its users see it: tables, JSON, JUnit XML, exit codes. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { loadPack, PACKS, USUAL_PACKS } from "../../src/assert/pack.ts";
import { registerAssert } from "../../src/cli/assert.ts";
import { minutesWithin, openRollups } from "../../src/clickhouse/rollup.ts";
import { type Cluster, inFolder, productionEvents, withServedCluster } from "../helpers/cluster.ts";
import { environmentOf, inProcess } from "../helpers/command.ts";
import { describe } from "../helpers/suite.ts";

const WINDOW = ["--from", "2026-01-08", "--to", "2026-02-26"];

const run = (cluster: Cluster, ...args: string[]) =>
  inProcess(registerAssert, environmentOf(cluster), ["assert", ...args]);

describe("latecomer assert", (test) => {
  test("tells what holds, and of what does not where to look; exit 1 when something fails", () =>
    withServedCluster({}, async (cluster) => {
      await cluster.publish("org", productionEvents());
      await cluster.process();
      const everything = { source: undefined, fromMs: 0, toMs: Date.UTC(2030, 0) };
      await openRollups(cluster.clickhouse).recompute(await minutesWithin(cluster.clickhouse, everything));
      const junit = join(cluster.folder, "assertions.xml");

      const sound = await run(cluster, ...WINDOW, "--json", "--junit", junit);
      assert.is(sound.code, 0, sound.out);
      const { packs, passed, failed, from } = JSON.parse(sound.out);
      assert.equal(packs.map(({ pack }: { pack: string }) => pack), USUAL_PACKS);
      const count = USUAL_PACKS.reduce((sum, name) => sum + loadPack(name).assertions.length, 0);
      assert.equal([passed, failed, from], [count, 0, "2026-01-08T00:00:00.000Z"]);
      assert.is(readFileSync(junit, "utf8").match(/<testcase /g)!.length, count);

      await cluster.clickhouse.command("TRUNCATE TABLE raw_ai_stream_status");
      const broken = await run(cluster, "raw_typed", ...WINDOW, "--junit", junit);
      assert.is(broken.code, 1);
      assert.match(broken.out, /raw_typed_core_1to1_parity +failed +28/);
      assert.match(
        broken.out,
        /failed: raw_typed\.raw_typed_core_1to1_parity \(test\/integration\/sql\/assertions_raw_typed/,
      );
      assert.match(broken.out, /missing_in_typed: 28/);
      assert.match(broken.out, /4 passed, 0 warned, 1 failed/);
      assert.match(readFileSync(junit, "utf8"), /failures="1"/);

      const nothing = await run(cluster, "api_readiness", "--from", "2020-01-01", "--to", "2020-01-02");
      assert.is(nothing.code, 0, "a window without rows breaks no promise of the views");
    }));

  test("refuses packs that it does not have and windows that are none (2), and says when nobody is there (3)", () =>
    inFolder(async (folder) => {
      const empty = { CLICKHOUSE_URL: `chdb:${join(folder, "empty")}` };
      const cases: [string[], Record<string, string>, number, RegExp][] = [
        [["all"], empty, 2, new RegExp(PACKS.join(", "))],
        [["--from", "yesterday"], empty, 2, /"yesterday" is no time/],
        [["--from", "2026-01-02", "--to", "2026-01-01"], empty, 2, /--from must be before --to/],
        [[], { CLICKHOUSE_URL: "http://u:hunter2@127.0.0.1:9" }, 3, /127\.0\.0\.1:9/],
      ];
      for (const [args, env, code, says] of cases) {
        const ended = await inProcess(registerAssert, env, ["assert", ...args]);
        assert.is(ended.code, code, `${args.join(" ")}: ${ended.err}`);
        assert.match(ended.err, says);
        assert.not.match(ended.err + ended.out, /hunter/);
      }
    }));
});
