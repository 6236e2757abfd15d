/** The same claims about both engines behind `openClickHouse`, then what is particular to each. */
import { spawn } from "node:child_process";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import * as assert from "uvu/assert";
import { createChdbConnection } from "chdb/connection";
import { type ClickHouse, openClickHouse, type OpenOptions } from "../../src/clickhouse/client.ts";
import { EXIT, exitCodeOf, LatecomerError } from "../../src/errors.ts";
import { serveClickHouse } from "../../src/local/clickhouse-http.ts";
import { describe } from "../helpers/suite.ts";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

async function inFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "latecomer-test-"));
  try {
    await run(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

type Use = (clickhouse: ClickHouse) => Promise<void>;

async function embedded(options: OpenOptions, use: Use): Promise<void> {
  await inFolder(async (folder) => {
    const clickhouse = await openClickHouse(`chdb:${folder}`, options);
    try {
      await use(clickhouse);
    } finally {
      await clickhouse.close();
    }
  });
}

async function overHttp(options: OpenOptions, use: Use): Promise<void> {
  await inFolder(async (folder) => {
    const server = await serveClickHouse(folder);
    const clickhouse = await openClickHouse(server.url, options);
    try {
      await use(clickhouse);
    } finally {
      await clickhouse.close();
      await server.close();
    }
  });
}

async function failureOf(work: Promise<unknown>): Promise<LatecomerError> {
  try {
    await work;
  } catch (error) {
    assert.instance(error, LatecomerError);
    return error as LatecomerError;
  }
  throw new Error("expected a failure");
}

const MAX_UINT128 = "340282366920938463463374607431768211455";

for (const [name, withClickHouse] of [["the embedded engine", embedded], ["HTTP", overHttp]] as const) {
  describe(`openClickHouse() over ${name}`, (test) => {
    test("brings every type we use back as it was stored", () =>
      withClickHouse({}, async (clickhouse) => {
        await clickhouse.command(`
          CREATE TABLE t
          (
            id      UInt64,
            version UInt128,
            at      DateTime64(3, 'UTC'),
            at_text DateTime64(3, 'UTC'),
            maybe   Nullable(String),
            model   LowCardinality(Nullable(String)),
            fps     Float64,
            list    Array(String),
            text    String
          )
          ENGINE = MergeTree ORDER BY id`);
        const columns = ["id", "version", "at", "at_text", "maybe", "model", "fps", "list", "text"];
        const text = "quote ' backslash \\ tab \t line \n nul \0 ü 漢 😀";
        const id = "18446744073709551615";
        await clickhouse.insert("t", columns, [
          [id, MAX_UINT128, 1_700_000_000_123, 1_767_323_045_678, null, null, 12.5, ["a'b", "c\\d"], text],
          {
            id: 1,
            version: "0",
            at: 0,
            at_text: "1767323045678",
            maybe: "",
            model: "m",
            fps: 0,
            list: [],
            text: "",
          },
        ]);
        assert.equal(await clickhouse.rows("SELECT * FROM t ORDER BY id"), [
          {
            id: "1",
            version: "0",
            at: "1970-01-01 00:00:00.000",
            at_text: "2026-01-02 03:04:05.678",
            maybe: "",
            model: "m",
            fps: 0,
            list: [],
            text: "",
          },
          {
            id,
            version: MAX_UINT128,
            at: "2023-11-14 22:13:20.123",
            at_text: "2026-01-02 03:04:05.678",
            maybe: null,
            model: null,
            fps: 12.5,
            list: ["a'b", "c\\d"],
            text,
          },
        ]);
      }));

    test("brings names back that many rows share, however many names there are", () =>
      withClickHouse({}, async (clickhouse) => {
        await clickhouse.command(`
          CREATE TABLE t (id UInt32, names UInt32, name LowCardinality(String), maybe LowCardinality(Nullable(String)))
          ENGINE = MergeTree ORDER BY (names, id)`);
        // The numbers of names take one byte, two and four.
        for (const names of [1, 256, 257, 65_536, 65_537]) {
          const rows = Array.from({ length: names + 300 }, (_, id) => {
            const name = id % names === 0 ? "" : `name ${id % names}`;
            return [id, names, name, id % 3 === 0 ? null : name];
          });
          await clickhouse.insert("t", ["id", "names", "name", "maybe"], rows);
        }
        const [wrong] = await clickhouse.rows(`
          SELECT count() AS n,
                 countIf(name != if(id % names = 0, '', concat('name ', toString(id % names)))) AS names_wrong,
                 countIf(isNull(maybe) != (id % 3 = 0)) AS nulls_wrong,
                 countIf(maybe != name) AS maybe_wrong
          FROM t`);
        assert.equal(wrong, { n: "133087", names_wrong: "0", nulls_wrong: "0", maybe_wrong: "0" });
      }));

    test("brings rows of every type back, each in its own row", () =>
      withClickHouse({}, async (clickhouse) => {
        const valuesOf: Readonly<Record<string, (row: number) => unknown>> = {
          "UInt8": (row) => row % 256,
          "UInt16": (row) => row * 99 % 65_536,
          "UInt32": (row) => row * 4_000_000,
          "Int32": (row) => row * 4_000_000 - 2_000_000_000,
          "UInt64": (row) => `${18_446_744_073_709_551_615n - BigInt(row)}`,
          "Int64": (row) => `${BigInt(row) - 9_223_372_036_854_775_808n}`,
          "UInt128": (row) => `${2n ** 127n + BigInt(row)}`,
          "UInt256": (row) => `${2n ** 255n + BigInt(row)}`,
          "Float32": (row) => row / 4,
          "Float64": (row) => row / -3,
          "String": (row) => "ü".repeat(row % 70),
          "LowCardinality(String)": (row) => `${row % 7}`,
          "Nullable(UInt32)": (row) => row % 2 === 0 ? null : row,
          "Nullable(Float64)": (row) => row % 3 === 0 ? null : row / 8,
          "Nullable(String)": (row) => row % 4 === 0 ? null : `${row}`,
          "Array(UInt32)": (row) => Array.from({ length: row % 5 }, (_, at) => row + at),
          "Array(Nullable(String))": (row) => Array.from({ length: row % 3 }, (_, at) => at === 0 ? null : `${row}`),
          "Array(Array(UInt8))": (row) => [[row % 2], [], [row % 3, 1]],
        };
        const types = Object.keys(valuesOf);
        const columns = types.map((_, column) => `c${column}`);
        const declared = types.map((type, column) => `c${column} ${type}`);
        await clickhouse.command(`
          CREATE TABLE t (id UInt32, ${declared.join(", ")}) ENGINE = MergeTree ORDER BY id`);
        const rows = Array.from({ length: 600 }, (_, row) => [row, ...types.map((type) => valuesOf[type]!(row))]);
        await clickhouse.insert("t", ["id", ...columns], rows);
        const stored = await clickhouse.rows("SELECT * FROM t ORDER BY id");
        assert.equal(stored.map((row) => Object.values(row)), rows);
        // The same rows a few at a time: with types that are known, and with types that are asked for by `run`.
        for (const table of ["t", "late"]) {
          await clickhouse.command(`CREATE TABLE IF NOT EXISTS late AS t`);
          await clickhouse.command(`TRUNCATE TABLE t`);
          const insert = clickhouse.prepare(table, ["id", ...columns]);
          for (let from = 0, size = 1; from < rows.length; from += size, size *= 3) {
            insert.add(rows.slice(from, from + size));
            insert.add([]);
          }
          assert.is(insert.rowCount, rows.length);
          await insert.run();
          const stored = await clickhouse.rows(`SELECT * FROM ${table} ORDER BY id`);
          assert.equal(stored.map((row) => Object.values(row)), rows, table);
        }
      }));

    test("stores prepared rows once when their insert fails before, also where the table is made anew meanwhile", () =>
      withClickHouse({}, async (clickhouse) => {
        const create = "CREATE TABLE t (id UInt32, text String) ENGINE = MergeTree ORDER BY id";
        for (const isKnown of [false, true]) {
          if (isKnown) await clickhouse.learn();
          const insert = clickhouse.prepare("t", ["id", "text"]);
          insert.add([[1, "a"], [2, "b"]]);
          insert.add([{ id: 3, text: "c" }]);
          if (isKnown) await clickhouse.command("DROP TABLE t");
          assert.is((await failureOf(insert.run())).kind, "unavailable");
          await clickhouse.command(create);
          await insert.run();
          assert.equal(await clickhouse.rows("SELECT id, text FROM t ORDER BY id"), [
            { id: 1, text: "a" },
            { id: 2, text: "b" },
            { id: 3, text: "c" },
          ]);
        }
      }));

    test("says which of prepared rows does not fit, and not what is in it", () =>
      withClickHouse({}, async (clickhouse) => {
        await clickhouse.command("CREATE TABLE t (id UInt32, n UInt8) ENGINE = MergeTree ORDER BY id");
        await clickhouse.learn();
        const insert = clickhouse.prepare("t", ["id", "n"]);
        insert.add([[1, 1], [2, 2]]);
        const failure = await failureOf(Promise.resolve().then(() => insert.add([[3, 3], [4, "secret"]])));
        assert.is(failure.code, "ROW_INVALID");
        assert.match(failure.message, /column n, row 4/);
        assert.not.match(failure.message, /secret/);
      }));

    test("binds values that try to leave their place", () =>
      withClickHouse({}, async (clickhouse) => {
        for (
          const value of [
            "it's",
            "a\\",
            "\\'",
            "line\nline\r",
            "tab\there",
            "\\N",
            "\\t",
            "{x:String}",
            "'; --",
            "ü😀",
            "",
          ]
        ) {
          const [row] = await clickhouse.rows<{ value: string }>("SELECT {value:String} AS value", { value });
          assert.is(row?.value, value);
        }
        const [row] = await clickhouse.rows(
          "SELECT {n:UInt128} AS n, {at:DateTime64(3, 'UTC')} AS at, {list:Array(String)} AS list, {none:Nullable(String)} AS none",
          { n: MAX_UINT128, at: "2026-01-02 03:04:05.678", list: ["a'b", "c\\d", "e\tf"], none: null },
        );
        assert.equal(row, { n: MAX_UINT128, at: "2026-01-02 03:04:05.678", list: ["a'b", "c\\d", "e\tf"], none: null });
      }));

    test("reads bytes that are no UTF-8 as replacement characters and stores them through unhex()", () =>
      withClickHouse({}, async (clickhouse) => {
        await clickhouse.command("CREATE TABLE t (id UInt8, text String) ENGINE = MergeTree ORDER BY id");
        await clickhouse.command("INSERT INTO t (id, text) SELECT 1, unhex({hex:String})", { hex: "41FFFE42" });
        assert.equal(await clickhouse.rows("SELECT text, hex(text) AS bytes FROM t"), [
          { text: "A\ufffd\ufffdB", bytes: "41FFFE42" },
        ]);
      }));

    test("stores half a surrogate pair as U+FFFD instead of losing the insert", () =>
      withClickHouse({}, async (clickhouse) => {
        await clickhouse.command(
          "CREATE TABLE t (id UInt8, text String, list Array(String)) ENGINE = MergeTree ORDER BY id",
        );
        await clickhouse.insert("t", ["id", "text", "list"], [
          [1, "a\ud800b", ["\udc00"]],
          [2, "😀 and \\ud800 as text", []],
        ]);
        assert.equal(await clickhouse.rows("SELECT * FROM t ORDER BY id"), [
          { id: 1, text: "a\ufffdb", list: ["\ufffd"] },
          { id: 2, text: "😀 and \\ud800 as text", list: [] },
        ]);
      }));

    test("folds to the greatest version, and a tombstone removes", () =>
      withClickHouse({}, async (clickhouse) => {
        await clickhouse.command(`
          CREATE TABLE t (id String, value String, version UInt128, is_deleted UInt8)
          ENGINE = ReplacingMergeTree(version, is_deleted) ORDER BY id`);
        const columns = ["id", "value", "version", "is_deleted"];
        await clickhouse.insert("t", columns, [["a", "newest", MAX_UINT128, 0], ["b", "kept", "7", 0], [
          "c",
          "gone",
          "1",
          0,
        ]]);
        await clickhouse.insert("t", columns, [["a", "older", "340282366920938463463374607431768211454", 0]]);
        await clickhouse.insert("t", columns, [["c", "", "2", 1]]);
        assert.equal(await clickhouse.rows("SELECT id, value, version FROM t FINAL ORDER BY id"), [
          { id: "a", value: "newest", version: MAX_UINT128 },
          { id: "b", value: "kept", version: "7" },
        ]);
      }));

    test("stores 50 000 rows of one insert, each once", () =>
      withClickHouse({}, async (clickhouse) => {
        await clickhouse.command("CREATE TABLE t (id UInt64, uid String, text String) ENGINE = MergeTree ORDER BY id");
        const rows = Array.from({ length: 50_000 }, (_, id) => [id, `uid-${id}`, "x".repeat(100)]);
        await clickhouse.insert("t", ["id", "uid", "text"], rows);
        assert.equal(await clickhouse.rows("SELECT count() AS n, uniqExact(uid) AS uids, sum(id) AS total FROM t"), [
          { n: "50000", uids: "50000", total: "1249975000" },
        ]);
      }));

    test("loses no row to a deduplication token that somebody left behind", () =>
      withClickHouse({}, async (clickhouse) => {
        await clickhouse.command(`
          CREATE TABLE t (id UInt8) ENGINE = MergeTree ORDER BY id SETTINGS non_replicated_deduplication_window = 100`);
        await clickhouse.command("SET insert_deduplication_token = 'left behind'");
        // The last two are alike, too: a repeat is for the table to fold, not for the engine to drop.
        for (const id of [1, 2, 3, 3]) await clickhouse.insert("t", ["id"], [[id]]);
        assert.equal(await clickhouse.rows("SELECT count() AS n FROM t"), [{ n: "4" }]);
      }));

    test("gives a result that holds nothing of a query that failed before it", () =>
      withClickHouse({}, async (clickhouse) => {
        const failing = "SELECT throwIf(number = 900000) AS x FROM numbers(1000000)";
        const [failure, after] = await Promise.all([
          failureOf(clickhouse.rows(failing)),
          clickhouse.rows("SELECT 'next' AS x"),
        ]);
        assert.is(failure.kind, "fatal");
        assert.equal(after, [{ x: "next" }]);
      }));

    test("refuses NULL where none is allowed, and a column that is not there", () =>
      withClickHouse({}, async (clickhouse) => {
        await clickhouse.command("CREATE TABLE t (id UInt8, text String) ENGINE = MergeTree ORDER BY id");
        assert.is((await failureOf(clickhouse.insert("t", ["id", "text"], [[1, null]]))).kind, "fatal");
        const failure = await failureOf(clickhouse.insert("t", ["id", "nope"], [[1, "x"]]));
        assert.match(failure.message, "nope");
        await failureOf(clickhouse.insert("t", ["id", "text"], [[1]]));
        assert.equal(await clickhouse.rows("SELECT * FROM t"), []);
      }));

    test("says which row and column failed, and nothing of what was in them", () =>
      withClickHouse({}, async (clickhouse) => {
        await clickhouse.command("CREATE TABLE t (id UInt64, n UInt8) ENGINE = MergeTree ORDER BY id");
        const failure = await failureOf(clickhouse.insert("t", ["id", "n"], [[1, 1], [2, "top secret"]]));
        assert.is(failure.code, "ROW_INVALID");
        assert.match(failure.message, /column n, row 2/);
        assert.not.match(JSON.stringify([failure.message, String(failure.cause)]), "secret");
      }));

    test("calls a timeout retryable and a syntax error fatal", () =>
      withClickHouse({}, async (clickhouse) => {
        const slow = "SELECT sleepEachRow(0.1) FROM numbers(30) SETTINGS max_execution_time = 1, max_block_size = 1";
        assert.is((await failureOf(clickhouse.rows(slow))).kind, "retryable");
        const wrong = await failureOf(clickhouse.rows("SELEC 1 2"));
        assert.is(wrong.kind, "fatal");
        assert.is(exitCodeOf(wrong), EXIT.failed);
        await clickhouse.ping();
      }));

    test("works in the database that it was opened with, from the moment that exists", () =>
      withClickHouse({ database: "my_db" }, async (clickhouse) => {
        const failure = await failureOf(clickhouse.rows("SELECT 1"));
        assert.match(failure.message, /code 81 .*latecomer init/);
        assert.is(exitCodeOf(failure), EXIT.unavailable);
        const early = await failureOf(clickhouse.command("CREATE DATABASE my_db"));
        assert.match(early.message, "code 81");
      }));

    test("points to init where a table is not there", () =>
      withClickHouse({}, async (clickhouse) => {
        const failure = await failureOf(clickhouse.rows("SELECT * FROM nowhere"));
        assert.match(failure.message, /code 60 .*latecomer init/);
        assert.is(exitCodeOf(failure), EXIT.unavailable);
      }));

    test("closes twice, and refuses work afterwards", () =>
      withClickHouse({}, async (clickhouse) => {
        await clickhouse.insert("nowhere", ["a"], []);
        await clickhouse.close();
        await clickhouse.close();
        if (name !== "HTTP") assert.is((await failureOf(clickhouse.ping())).code, "CLICKHOUSE_CLOSED");
      }));
  });
}

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

function moduleUrl(path: string): string {
  return pathToFileURL(join(root, path)).href;
}

interface Child {
  pid: number;
  /** Resolves when its output holds the text; rejects when it ends first or after 30 s. */
  said(text: string): Promise<void>;
  kill(): Promise<void>;
}

/** Runs TypeScript in another process on the runtime that runs this test. */
function runScript(folder: string, code: string): Child {
  const file = join(folder, "script.ts");
  // On Node a module's kind depends on its folder; this one has no package.json.
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  writeFileSync(file, code);
  const args = "Deno" in globalThis
    ? ["run", "-A", "--no-check", "--config", join(root, "deno.json"), file]
    : ["--import", "tsx", "--no-warnings", file];
  const child = spawn(process.execPath, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  let output = "";
  let listener = () => {};
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk) => {
      output += chunk;
      listener();
    });
  }
  return {
    pid: child.pid!,
    said: (text) =>
      new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`never said "${text}": ${output}`)), 30_000);
        listener = () => {
          if (!output.includes(text)) return;
          clearTimeout(timer);
          resolve();
        };
        listener();
        ended.then(() => {
          clearTimeout(timer);
          reject(new Error(`ended without saying "${text}": ${output}`));
        });
      }),
    async kill() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}
