/** The same claims about both engines behind `openClickHouse`. */
import * as assert from "uvu/assert";
import { type ClickHouse, openClickHouse, type OpenOptions } from "../../src/clickhouse/client.ts";
import { EXIT, exitCodeOf } from "../../src/errors.ts";
import { serveClickHouse } from "../../src/local/clickhouse-http.ts";
import { inFolder } from "../helpers/cluster.ts";
import { failureOf } from "../helpers/failure.ts";
import { describe } from "../helpers/suite.ts";

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

    test("brings texts back that repeat in a large insert, for a while or to its end", () =>
      withClickHouse({}, async (clickhouse) => {
        await clickhouse.command(`
          CREATE TABLE t (id UInt32, alike String, later String, maybe Nullable(String)) ENGINE = MergeTree ORDER BY id`);
        const rows = Array.from({ length: 3_000 }, (_, id) => {
          const later = id < 1_000 ? `ü ${id % 3}` : `${id}`;
          return [id, id % 50 === 0 ? "" : `node ${id % 7}`, later, id % 3 === 0 ? null : `${id % 5}`];
        });
        const insert = clickhouse.prepare("t", ["id", "alike", "later", "maybe"]);
        for (let from = 0; from < rows.length; from += 100) insert.add(rows.slice(from, from + 100));
        await insert.run();
        const stored = await clickhouse.rows("SELECT * FROM t ORDER BY id");
        assert.equal(stored.map((row) => Object.values(row)), rows);
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
