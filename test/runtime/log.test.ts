/** What of the log is written: by level, by how often it was said, and without secrets. */
import process from "node:process";
import * as assert from "uvu/assert";
import type { LogFields } from "../../src/ports.ts";
import { logOver, MOST_REPEATS } from "../../src/runtime/log.ts";
import { eventually } from "../helpers/cluster.ts";
import { describe } from "../helpers/suite.ts";

interface Line {
  readonly level: string;
  readonly fields: LogFields;
  readonly message: string;
}

function recorded(windowMs = 60_000) {
  const lines: Line[] = [];
  return { lines, log: logOver((level, fields, message) => lines.push({ level, fields, message }), "info", windowMs) };
}

describe("the log", (test) => {
  test("writes lines of its level and above", () => {
    const { lines, log } = recorded();
    for (const level of ["debug", "info", "warn", "error"] as const) log[level]({ n: 1 }, "said");
    assert.equal(lines.map(({ level }) => level), ["info", "warn", "error"]);
    assert.equal(lines[0], { level: "info", fields: { n: 1 }, message: "said" });
  });

  test("writes the same message a bounded number of times a minute, then once how often more, and what windows", async () => {
    const { lines, log } = recorded(50);
    const hour = (n: number) => `2026-01-01T${String(n % 24).padStart(2, "0")}:00:00.000Z`;
    for (let n = 0; n < MOST_REPEATS + 5; n++) {
      log.warn({ partition: "0", count: n, from: hour(n), to: hour(n + 1) }, "a bound cost evidence");
    }
    log.warn({ partition: "1" }, "a bound cost evidence");
    log.warn({ partition: "0" }, "another");
    assert.is(lines.length, MOST_REPEATS + 2, "other partitions and messages are written");
    await eventually("summed up", () => lines.length > MOST_REPEATS + 2, 5_000);
    const [least, greatest] = [MOST_REPEATS, MOST_REPEATS + 4];
    assert.equal(lines.at(-1), {
      level: "warn",
      message: "a bound cost evidence",
      fields: {
        partition: "0",
        withheld: 5,
        least: { count: least, from: hour(least), to: hour(least + 1) },
        greatest: { count: greatest, from: hour(greatest), to: hour(greatest + 1) },
      },
    });
    log.warn({ partition: "0" }, "a bound cost evidence");
    assert.is(lines.length, MOST_REPEATS + 4, "a new minute begins");
  });

  test("says at the end of the process what it has withheld, once", () => {
    const before = process.listeners("exit");
    const { lines, log } = recorded();
    for (let n = 0; n < MOST_REPEATS + 3; n++) log.info({ n }, "said");
    const [atExit, ...more] = process.listeners("exit").filter((one) => !before.includes(one));
    assert.is(more.length, 0);
    atExit!(0);
    assert.is(lines.length, MOST_REPEATS + 1);
    assert.equal([lines.at(-1)!.fields.withheld, lines.at(-1)!.message], [3, "said"]);
    assert.equal(process.listeners("exit"), before);
  });

  test("masks secrets by the names of fields, at any depth, and in texts", () => {
    const { lines, log } = recorded();
    const url = "nats://boris:hunter2@host:4222";
    log.error({
      token: "hunter2",
      Password: "hunter2",
      natsPassword: "hunter2",
      api_key: "hunter2",
      deep: { creds: "hunter2", list: [{ secret: "hunter2" }, url] },
      error: `cannot reach https://boris:hunter2@host:8443/?password=hunter2&database=d`,
      NATS_CREDS: "/etc/nats.creds",
      count: 3,
    }, `at ${url}`);
    assert.not.match(JSON.stringify(lines), "hunter2");
    assert.not.match(JSON.stringify(lines), "boris");
    assert.is(lines[0]!.message, "at nats://***@host:4222");
    const { error, NATS_CREDS, count } = lines[0]!.fields;
    assert.equal([error, NATS_CREDS, count], [
      "cannot reach https://***@host:8443/?password=***&database=d",
      "/etc/nats.creds",
      3,
    ]);
  });
});
