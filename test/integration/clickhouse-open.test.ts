/** Opening ClickHouse: the folder of the embedded engine, and the address of a server. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { createChdbConnection } from "chdb/connection";
import { openClickHouse } from "../../src/clickhouse/client.ts";
import { EXIT, exitCodeOf } from "../../src/errors.ts";
import { inFolder } from "../helpers/cluster.ts";
import { failureOf } from "../helpers/failure.ts";
import { moduleUrl, runScript } from "../helpers/script.ts";
import { describe } from "../helpers/suite.ts";

describe("the embedded engine", (test) => {
  test("does leave settings behind, which is why each call carries all of them", () =>
    inFolder(async (folder) => {
      const connection = createChdbConnection({ path: folder });
      await connection.chdb.queryAsync("SET max_block_size = 7; SELECT 1");
      const result = await connection.chdb.queryAsync("SELECT getSetting('max_block_size')", { format: "TSV" });
      assert.is(result.text().trim(), "7");
      await connection.close();
    }));

  test("keeps tables and database between two openings", () =>
    inFolder(async (folder) => {
      const first = await openClickHouse(`chdb:${folder}`);
      await first.command("CREATE DATABASE my_db");
      await first.close();
      const second = await openClickHouse(`chdb:${folder}`, { database: "my_db" });
      await second.command("CREATE TABLE t (id UInt8) ENGINE = MergeTree ORDER BY id");
      await second.insert("t", ["id"], [[1]]);
      await second.close();
      const third = await openClickHouse(`chdb:${folder}`);
      assert.equal(await third.rows("SELECT count() AS n FROM my_db.t"), [{ n: "1" }]);
      await third.close();
    }));

  test("names the process that holds its folder", () =>
    inFolder(async (folder) => {
      const script = `import { openClickHouse } from ${JSON.stringify(moduleUrl("src/clickhouse/client.ts"))};
        await openClickHouse("chdb:" + ${JSON.stringify(join(folder, "data"))});
        console.log("open");
        setInterval(() => {}, 1000);`;
      const holder = runScript(folder, script);
      try {
        await holder.said("open");
        const failure = await failureOf(openClickHouse(`chdb:${join(folder, "data")}`));
        assert.is(failure.code, "CLICKHOUSE_FOLDER_LOCKED");
        assert.is(exitCodeOf(failure), EXIT.unavailable);
        assert.match(failure.message, join(folder, "data"));
        assert.match(failure.message, `process ${holder.pid}`);
      } finally {
        await holder.kill();
      }
      const clickhouse = await openClickHouse(`chdb:${join(folder, "data")}`);
      await clickhouse.ping();
      await clickhouse.close();
    }));

  test("says what to do where there is no engine for the platform", () =>
    inFolder(async (folder) => {
      const script = `import process from "node:process";
        Object.defineProperty(process, "platform", { value: "sunos" });
        const { openClickHouse } = await import(${JSON.stringify(moduleUrl("src/clickhouse/client.ts"))});
        const { exitCodeOf } = await import(${JSON.stringify(moduleUrl("src/errors.ts"))});
        await openClickHouse("chdb:" + ${JSON.stringify(join(folder, "data"))}).catch((error) => {
          console.log(error.code, exitCodeOf(error), error.message);
        });`;
      const child = runScript(folder, script);
      await child.said("ENGINE_MISSING 3");
      await child.said("CLICKHOUSE_URL");
      await child.kill();
    }));

  test("refuses a folder that is a file", () =>
    inFolder(async (folder) => {
      writeFileSync(join(folder, "file"), "");
      for (const path of [join(folder, "file"), join(folder, "file", "below")]) {
        const failure = await failureOf(openClickHouse(`chdb:${path}`));
        assert.equal([failure.code, failure.kind], ["CONFIG_INVALID", "usage"]);
        assert.match(failure.message, `CLICKHOUSE_URL is "chdb:${path}", expected chdb:<folder>: there is a file`);
      }
    }));
});

describe("a ClickHouse server's address", (test) => {
  test("shows no password", async () => {
    const clickhouse = await openClickHouse("http://me:pass@word@127.0.0.1:1/db");
    assert.is(clickhouse.description, "http://***@127.0.0.1:1/db");
    const failure = await failureOf(clickhouse.ping());
    assert.not.match(failure.message, /pass|word/);
    await clickhouse.close();
  });

  test("is refused when it is none", async () => {
    for (const url of ["", "localhost:8123", "tcp://me:s3cret@host", "http://host?nonsense=1", "file:///tmp"]) {
      const failure = await failureOf(openClickHouse(url));
      assert.is(failure.kind, "usage");
      assert.not.match(failure.message, "s3cret");
    }
  });

  test("that nobody listens on is a retryable failure", async () => {
    const clickhouse = await openClickHouse("http://127.0.0.1:1");
    const failure = await failureOf(clickhouse.insert("t", ["a"], [["secret"]]));
    assert.is(failure.kind, "retryable");
    assert.is(failure.code, "CLICKHOUSE_UNAVAILABLE");
    assert.is(exitCodeOf(failure), EXIT.unavailable);
    assert.match(failure.message, "ECONNREFUSED");
    assert.not.match(failure.message, "secret");
    await clickhouse.close();
  });

  for (
    const [what, status, body] of [
      ["a proxy's error page", 502, "<html>Bad gateway to secret</html>"],
      ["a proxy's page as if all were well", 200, "<html>We look after secret</html>"],
      ["nothing at all, by a proxy", 200, ""],
      ["too many parts", 500, "Code: 252. DB::Exception: Too many parts. (TOO_MANY_PARTS) (version 25.1)"],
      ["a full memory", 500, "Code: 241. DB::Exception: Memory limit exceeded. (MEMORY_LIMIT_EXCEEDED) (version 25.1)"],
      ["a lost Keeper", 500, "Code: 999. DB::Exception: Coordination error. (KEEPER_EXCEPTION) (version 25.1)"],
    ] as const
  ) {
    test(`answering with ${what} is a retryable failure`, async () => {
      const server = createServer((request, response) => {
        let sent = "";
        request.on("data", (chunk) => sent += chunk);
        request.on("end", () => {
          if (sent.includes("system.columns")) {
            const column = { table: "t", name: "a", type: "String" };
            response.writeHead(200, { "X-ClickHouse-Query-Id": "1" }).end(`${JSON.stringify(column)}\n`);
            return;
          }
          const code = /^Code: (\d+)/.exec(body)?.[1];
          response.writeHead(status, code === undefined ? {} : { "X-ClickHouse-Exception-Code": code }).end(body);
        });
      });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      const clickhouse = await openClickHouse(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
      const insert = clickhouse.prepare("t", ["a"]);
      insert.add([["x"]]);
      for (
        const work of [
          () => insert.run(),
          () => clickhouse.command("OPTIMIZE TABLE t"),
          () => clickhouse.rows("SELECT 1"),
          () => clickhouse.ping(),
        ]
      ) {
        const failure = await failureOf(work());
        assert.is(failure.kind, "retryable", failure.message);
        assert.not.match(failure.message, "secret");
      }
      await clickhouse.close();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    });
  }
});
