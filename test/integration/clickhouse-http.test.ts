/** The HTTP interface of the embedded engine, asked by plain requests and by the official client. */
import { mkdtempSync, rmSync } from "node:fs";
import { Agent, type IncomingHttpHeaders, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { gunzipSync, gzipSync } from "node:zlib";
import { createClient } from "@clickhouse/client";
import * as assert from "uvu/assert";
import { EXIT, exitCodeOf } from "../../src/errors.ts";
import { type ClickHouseHttp, serveClickHouse } from "../../src/local/clickhouse-http.ts";
import { splitInsert } from "../../src/local/clickhouse-statement.ts";
import { describe } from "../helpers/suite.ts";

interface Reply {
  status: number;
  headers: IncomingHttpHeaders;
  bytes: Buffer;
  text: string;
}

interface Asked {
  method?: string;
  query?: Record<string, string>;
  path?: string;
  headers?: Record<string, string>;
  body?: string | Uint8Array;
  agent?: Agent;
}

class Local {
  readonly server: ClickHouseHttp;
  readonly folder: string;

  constructor(server: ClickHouseHttp, folder: string) {
    this.server = server;
    this.folder = folder;
  }

  ask({ method = "POST", query = {}, path = "/", headers = {}, body, agent }: Asked): Promise<Reply> {
    const search = new URLSearchParams(query).toString();
    const url = `${this.server.url}${path}${search === "" ? "" : `?${search}`}`;
    return new Promise((resolve, reject) => {
      const outgoing = request(url, { method, headers, ...(agent && { agent }) }, (incoming) => {
        const chunks: Uint8Array[] = [];
        incoming.on("data", (chunk) => chunks.push(chunk));
        incoming.on("error", reject);
        incoming.on("end", () => {
          const bytes = Buffer.concat(chunks);
          const { statusCode = 0, headers } = incoming;
          resolve({ status: statusCode, headers, bytes, text: bytes.toString() });
        });
      });
      outgoing.on("error", reject);
      outgoing.end(body);
    });
  }

  /** Runs a statement that must succeed, and returns its text. */
  async run(sql: string, query: Record<string, string> = {}): Promise<string> {
    const reply = await this.ask({ body: sql, query });
    assert.is(reply.status, 200, reply.text);
    return reply.text.trimEnd();
  }
}

async function withLocal(use: (local: Local) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "latecomer-test-"));
  try {
    const server = await serveClickHouse(folder, { host: "127.0.0.1", port: 0 });
    try {
      await use(new Local(server, folder));
    } finally {
      await server.close();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describe("ClickHouse's HTTP interface", (test) => {
  test("says Ok to whoever asks how it is", () =>
    withLocal(async (local) => {
      for (const path of ["/", "/ping", "/replicas_status"]) {
        const reply = await local.ask({ method: "GET", path });
        assert.is(reply.status, 200);
        assert.is(reply.text, "Ok.\n");
      }
      assert.is((await local.ask({ method: "GET", path: "/nowhere" })).status, 404);
    }));

  test("takes the statement from the parameter, the body, or one after the other", () =>
    withLocal(async (local) => {
      assert.is((await local.ask({ method: "GET", query: { query: "SELECT 1" } })).text, "1\n");
      assert.is((await local.ask({ body: "SELECT 2" })).text, "2\n");
      assert.is((await local.ask({ query: { query: "SELECT 3," }, body: "4" })).text, "3\t4\n");
      assert.is((await local.ask({ body: "SELECT 5;\n" })).text, "5\n");
      const empty = await local.ask({ body: "" });
      assert.is(empty.status, 400);
      assert.is(empty.text, "Code: 62. DB::Exception: Empty query. (SYNTAX_ERROR)\n");
    }));

  test("answers in the default format or the one that the statement names, and says which", () =>
    withLocal(async (local) => {
      const sql = "SELECT 1 AS a, 'x' AS b";
      for (
        const [format, type, text] of [
          ["TabSeparated", "text/tab-separated-values", "1\tx\n"],
          ["CSV", "text/csv", '1,"x"\n'],
          ["CSVWithNames", "text/csv", '"a","b"\n1,"x"\n'],
          ["JSONEachRow", "application/x-ndjson", '{"a":1,"b":"x"}\n'],
          ["JSONCompactEachRow", "application/x-ndjson", '[1, "x"]\n'],
          ["RowBinary", "application/octet-stream", "\x01\x01x"],
        ] as const
      ) {
        const byDefault = await local.ask({ body: sql, query: { default_format: format } });
        const byName = await local.ask({ body: `${sql} FORMAT ${format}` });
        for (const reply of [byDefault, byName]) {
          assert.is(reply.text, text);
          assert.is(reply.headers["x-clickhouse-format"], format);
          assert.match(String(reply.headers["content-type"]), type);
        }
      }
      const json = JSON.parse(await local.run(`${sql} FORMAT JSON`));
      assert.equal(json.meta, [{ name: "a", type: "UInt8" }, { name: "b", type: "String" }]);
      assert.equal(json.data, [{ a: 1, b: "x" }]);
      assert.equal(JSON.parse(await local.run(`${sql} FORMAT JSONCompact`)).data, [[1, "x"]]);
    }));

  test("names the query, and counts what it stored and what it returned", () =>
    withLocal(async (local) => {
      await local.run("CREATE TABLE t (id UInt8) ENGINE = MergeTree ORDER BY id");
      const insert = await local.ask({
        query: { query: "INSERT INTO t FORMAT CSV", query_id: "mine" },
        body: "1\n2\n3\n",
      });
      assert.is(insert.headers["x-clickhouse-query-id"], "mine");
      assert.is(JSON.parse(String(insert.headers["x-clickhouse-summary"])).written_rows, "3");
      const select = await local.ask({ body: "SELECT * FROM t" });
      assert.is(JSON.parse(String(select.headers["x-clickhouse-summary"])).result_rows, "3");
      assert.match(String(select.headers["x-clickhouse-query-id"]), /^[0-9a-f-]{36}$/);
    }));

  test("works in the database that the parameter or the header names", () =>
    withLocal(async (local) => {
      await local.run("CREATE DATABASE `odd-name`");
      assert.is(await local.run("SELECT currentDatabase()", { database: "odd-name" }), "odd-name");
      const byHeader = await local.ask({
        body: "SELECT currentDatabase()",
        headers: { "X-ClickHouse-Database": "odd-name" },
      });
      assert.is(byHeader.text, "odd-name\n");
      assert.is(await local.run("SELECT currentDatabase()"), "default");
      const missing = await local.ask({ body: "SELECT 1", query: { database: "nope" } });
      assert.is(missing.status, 404);
      assert.is(missing.headers["x-clickhouse-exception-code"], "81");
    }));

  test("takes and ignores users and passwords", () =>
    withLocal(async (local) => {
      const headers = { "X-ClickHouse-User": "me", "X-ClickHouse-Key": "any", Authorization: "Basic bWU6YW55" };
      assert.is((await local.ask({ body: "SELECT 1", headers, query: { user: "me", password: "x" } })).text, "1\n");
    }));

  test("removes the escapes of a parameter once", () =>
    withLocal(async (local) => {
      const sql = "SELECT hex({x:String})";
      const hexOf = (text: string) => Buffer.from(text).toString("hex").toUpperCase();
      for (
        const [sent, meant] of [["a\\tb", "a\tb"], ["a\\\\b", "a\\b"], ["it's", "it's"], ["it\\'s", "it's"], [
          "\\n",
          "\n",
        ]]
      ) {
        assert.is(await local.run(sql, { param_x: sent! }), hexOf(meant!));
      }
      assert.is(await local.run("SELECT {x:Nullable(UInt8)} IS NULL", { param_x: "\\N" }), "1");
      assert.is(await local.run("SELECT {x:Array(String)}[2]", { param_x: "['a','b\\'c']" }), "b\\'c");
      await local.run("CREATE TABLE t (id UInt8) ENGINE = Memory");
      assert.is(await local.run("SELECT count() FROM {table:Identifier}", { param_table: "t" }), "0");
      const missing = await local.ask({ body: sql });
      assert.is(missing.headers["x-clickhouse-exception-code"], "456");
    }));

  test("brings quotes, backslashes, tabs and line ends through the official client's parameters", () =>
    withLocal(async (local) => {
      const client = createClient({ url: local.server.url });
      for (const value of ["it's", "a\\", "\\'", "line\nline\r", "tab\there", "\\N", "\\t", "ü😀", ""]) {
        const result = await client.query({
          query: "SELECT {value:String} AS value, {list:Array(String)} AS list",
          query_params: { value, list: [value, value] },
          format: "JSONEachRow",
        });
        assert.equal(await result.json(), [{ value, list: [value, value] }]);
      }
      await client.close();
    }));

  test("keeps a setting, a parameter and a database to the request that brought them", () =>
    withLocal(async (local) => {
      await local.run("CREATE DATABASE other");
      const sql = "SELECT getSetting('max_block_size'), currentDatabase()";
      const before = await local.run(sql);
      assert.is(await local.run(sql, { max_block_size: "77", database: "other", param_x: "1" }), "77\tother");
      assert.is((await local.ask({ body: "SELECT nope", query: { max_block_size: "78" } })).status, 404);
      await local.run("SET max_block_size = 79");
      assert.is(await local.run(sql), before);
      assert.is((await local.ask({ body: "SELECT {x:UInt8}" })).headers["x-clickhouse-exception-code"], "456");
    }));

  test("loses no row to the deduplication token of an earlier request", () =>
    withLocal(async (local) => {
      await local.run(`CREATE TABLE t (id UInt8) ENGINE = MergeTree ORDER BY id
        SETTINGS non_replicated_deduplication_window = 100`);
      const insert = (id: number, settings: Record<string, string>) =>
        local.ask({ query: { query: "INSERT INTO t FORMAT CSV", ...settings }, body: `${id}\n` });
      const token = { insert_deduplication_token: "x", deduplicate_insert: "enable" };
      await insert(1, token);
      await insert(2, token);
      assert.is(await local.run("SELECT count() FROM t"), "1", "with one token twice, the second is dropped");
      await insert(3, {});
      await insert(4, {});
      assert.is(await local.run("SELECT arraySort(groupArray(id)) FROM t"), "[1,3,4]");
    }));

  test("leaves nothing of an insert to the next, be it a setting of the request or its own, or a failure", () =>
    withLocal(async (local) => {
      await local.run("CREATE TABLE t (id UInt8, x UInt8 DEFAULT 7) ENGINE = MergeTree ORDER BY id");
      const insert = async (id: number | string, settings: Record<string, string> = {}, clause = "") => {
        const query = { query: `INSERT INTO t ${clause} FORMAT JSONEachRow`, ...settings };
        return (await local.ask({ query, body: JSON.stringify({ id }) })).status;
      };
      const withoutDefaults = { input_format_defaults_for_omitted_fields: "0" };
      await insert(1, withoutDefaults);
      await insert(2);
      await insert(3, {}, "SETTINGS input_format_defaults_for_omitted_fields = 0");
      await insert(4);
      assert.is(await insert("none", withoutDefaults), 400);
      await insert(5);
      await insert(6, withoutDefaults);
      assert.is(await insert(7, { database: "nowhere" }), 404);
      assert.is(await insert(8), 200);
      const rows = await local.run("SELECT arraySort(groupArray((id, x))) FROM t");
      assert.is(rows, "[(1,0),(2,7),(3,0),(4,7),(5,7),(6,0),(8,7)]");
    }));

  test("puts nothing of a failed query in front of the next answer", () =>
    withLocal(async (local) => {
      const failed = await local.ask({ body: "SELECT throwIf(number = 900000) FROM numbers(1000000)" });
      assert.is(failed.status, 500);
      assert.match(failed.text, /^Code: 395\. DB::Exception: /);
      assert.is(await local.run("SELECT 'next'"), "next");
    }));

  test("gives each of many requests at once its own parameters and settings", () =>
    withLocal(async (local) => {
      const sql = "SELECT {x:String}, getSetting('max_block_size')";
      const all = await Promise.all(Array.from({ length: 40 }, (_, i) => {
        return local.run(sql, { param_x: `value ${i}`, max_block_size: String(1_000 + i) });
      }));
      assert.equal(all, Array.from({ length: 40 }, (_, i) => `value ${i}\t${1_000 + i}`));
    }));

  test("unpacks a gzipped body and packs an answer when both sides want it", () =>
    withLocal(async (local) => {
      await local.run("CREATE TABLE t (id UInt64) ENGINE = MergeTree ORDER BY id");
      const rows = Array.from({ length: 1_000 }, (_, i) => `{"id":${i}}\n`).join("");
      const stored = await local.ask({
        query: { query: "INSERT INTO t FORMAT JSONEachRow" },
        headers: { "Content-Encoding": "gzip" },
        body: gzipSync(rows),
      });
      assert.is(stored.status, 200, stored.text);
      const select = { body: "SELECT id FROM t ORDER BY id FORMAT JSONEachRow" };
      const headers = { "Accept-Encoding": "gzip" };
      const packed = await local.ask({ ...select, headers, query: { enable_http_compression: "1" } });
      assert.is(packed.headers["content-encoding"], "gzip");
      assert.is(gunzipSync(packed.bytes).toString(), rows);
      const plain = await local.ask({ ...select, headers });
      assert.is(plain.headers["content-encoding"], undefined);
      assert.is(plain.text, rows);
      const broken = await local.ask({ body: "no gzip at all", headers: { "Content-Encoding": "gzip" } });
      assert.is(broken.headers["x-clickhouse-exception-code"], "354");
      const unknown = await local.ask({ body: "x", headers: { "Content-Encoding": "lz4" } });
      assert.is(unknown.headers["x-clickhouse-exception-code"], "89");
    }));

  test("words an error as a server does, with its code and a fitting status", () =>
    withLocal(async (local) => {
      for (
        const [sql, status, code, type] of [
          ["SELECT * FROM nope", 404, 60, "UNKNOWN_TABLE"],
          ["SELECT nope", 404, 47, "UNKNOWN_IDENTIFIER"],
          ["SELECT nope(1)", 404, 46, "UNKNOWN_FUNCTION"],
          ["SELEC 1 2", 400, 62, "SYNTAX_ERROR"],
          ["SELECT toUInt8('x')", 400, 6, "CANNOT_PARSE_TEXT"],
          ["SELECT 1 FORMAT Nope", 404, 73, "UNKNOWN_FORMAT"],
          ["SELECT throwIf(1)", 500, 395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"],
        ] as const
      ) {
        const reply = await local.ask({ body: sql });
        assert.is(reply.status, status, reply.text);
        assert.is(reply.headers["x-clickhouse-exception-code"], String(code));
        assert.match(reply.text, new RegExp(`^Code: ${code}\\. DB::Exception: [^]+ \\(${type}\\)\\n$`));
      }
      const setting = await local.ask({ body: "SELECT 1", query: { no_such_setting: "1" } });
      assert.is(setting.text, "Code: 115. DB::Exception: Unknown setting 'no_such_setting'. (UNKNOWN_SETTING)\n");
      assert.is(setting.status, 404);
      const session = await local.ask({ body: "SELECT 1", query: { session_id: "s" } });
      assert.is(session.status, 501);
    }));

  test("changes nothing for a GET", () =>
    withLocal(async (local) => {
      const reply = await local.ask({ method: "GET", query: { query: "CREATE TABLE t (id UInt8) ENGINE = Memory" } });
      assert.is(reply.headers["x-clickhouse-exception-code"], "164");
      assert.is(await local.run("EXISTS TABLE t"), "0");
    }));

  test("ends a result that is too large with a clear error, and lets a request ask for less only", () =>
    withLocal(async (local) => {
      const sql = "SELECT repeat('x', 1000000) FROM numbers(200)";
      for (
        const query of [{}, { max_result_bytes: "0" }, { max_result_bytes: "999999999999" }] as Record<string, string>[]
      ) {
        const reply = await local.ask({ body: sql, query });
        assert.is(reply.headers["x-clickhouse-exception-code"], "396", reply.text.slice(0, 200));
        assert.match(reply.text, "Limit for result exceeded");
      }
      const less = await local.ask({ body: "SELECT * FROM numbers(100000)", query: { max_result_bytes: "1000" } });
      assert.is(less.headers["x-clickhouse-exception-code"], "396");
      assert.is(await local.run("SELECT 1"), "1");
    }));

  test("passes bytes through in both directions, whatever they are", () =>
    withLocal(async (local) => {
      await local.run("CREATE TABLE t (id UInt8, bytes String) ENGINE = MergeTree ORDER BY id");
      const rows = Buffer.from([1, 4, 0xff, 0xfe, 0, 0x80, 2, 3, 0x27, 0x5c, 0x0a]);
      const stored = await local.ask({ query: { query: "INSERT INTO t (id, bytes) FORMAT RowBinary" }, body: rows });
      assert.is(stored.status, 200, stored.text);
      const read = await local.ask({ body: "SELECT id, bytes FROM t ORDER BY id FORMAT RowBinary" });
      assert.equal([...read.bytes], [...rows]);
      const invalid = Buffer.concat([Buffer.from("INSERT INTO t FORMAT TSV\n3\t"), Buffer.from([0xc3, 0x28, 0x0a])]);
      assert.is((await local.ask({ body: invalid })).status, 200);
      assert.is(await local.run("SELECT hex(bytes) FROM t WHERE id = 3"), "C328");
    }));

  test("takes rows behind every shape of INSERT", () =>
    withLocal(async (local) => {
      await local.run("CREATE TABLE format (id UInt8, `odd name` String DEFAULT 'd') ENGINE = MergeTree ORDER BY id");
      await local.run("INSERT INTO format VALUES (1, 'a'), (2, 'b;')");
      await local.run("INSERT INTO format FORMAT Values (3, 'c')");
      await local.run("insert into default.format (id, `odd name`) format CSV\r\n4,d\n5,e\n");
      await local.run('INSERT INTO format (id) SETTINGS max_block_size = 1 FORMAT JSONEachRow {"id":6}\n{"id":7}');
      await local.run("INSERT INTO format SELECT 8, 'FORMAT CSV'");
      await local.run("/* FORMAT */ INSERT -- FORMAT CSV\n INTO TABLE format (id) FORMAT JSONCompactEachRow\n[9]\n");
      const separate = await local.ask({ query: { query: "INSERT INTO format (id) VALUES" }, body: "(10), (11)" });
      assert.is(separate.status, 200, separate.text);
      const nothing = await local.ask({ query: { query: "INSERT INTO format FORMAT JSONEachRow" }, body: "" });
      assert.is(nothing.status, 200, nothing.text);
      assert.is(await local.run("SELECT arraySort(groupArray(id)) FROM format"), "[1,2,3,4,5,6,7,8,9,10,11]");
      assert.is(await local.run("SELECT groupArray(`odd name`) FROM format WHERE id IN (6, 9, 10)"), "['d','d','d']");
      const broken = await local.ask({ query: { query: "INSERT INTO format FORMAT JSONEachRow" }, body: '{"id":"x"}' });
      assert.is(broken.status, 400, broken.text);
    }));

  test("stores 50 000 rows of the official client, packed or streamed, each once", () =>
    withLocal(async (local) => {
      const client = createClient({ url: local.server.url, compression: { request: true, response: true } });
      await client.command({
        query: "CREATE TABLE t (id UInt64, uid String, text String) ENGINE = MergeTree ORDER BY id",
      });
      const row = (id: number) => ({ id, uid: `uid-${id}`, text: "x'\\\n\t".repeat(20) });
      await client.insert({
        table: "t",
        values: Array.from({ length: 50_000 }, (_, id) => row(id)),
        format: "JSONEachRow",
      });
      const more = Readable.from((function* () {
        for (let id = 50_000; id < 60_000; id++) yield row(id);
      })());
      await client.insert({ table: "t", values: more, format: "JSONEachRow" });
      const result = await client.query({
        query: "SELECT count() AS n, uniqExact(uid) AS uids, any(text) AS text FROM t",
        format: "JSONEachRow",
        clickhouse_settings: { output_format_json_quote_64bit_integers: 1 },
      });
      assert.equal(await result.json(), [{ n: "60000", uids: "60000", text: "x'\\\n\t".repeat(20) }]);
      let count = 0;
      const all = await client.query({ query: "SELECT * FROM t", format: "JSONEachRow" });
      for await (const rows of all.stream()) count += rows.length;
      assert.is(count, 60_000);
      await client.close();
    }));

  test("answers no page of a foreign origin, and none by a foreign name", () =>
    withLocal(async (local) => {
      const ask = (headers: Record<string, string>, method = "POST") =>
        local.ask({ method, body: "SELECT 1", headers });
      assert.is((await ask({ Origin: "https://example.com" })).status, 403);
      assert.is((await ask({ Origin: "null" })).status, 403);
      assert.is((await ask({ Host: "rebound.example.com" })).status, 403);
      const page = await ask({ Origin: "http://localhost:3000" });
      assert.is(page.text, "1\n");
      assert.is(page.headers["access-control-allow-origin"], "http://localhost:3000");
      const preflight = await ask(
        { Origin: "http://localhost:3000", "Access-Control-Request-Headers": "x-a" },
        "OPTIONS",
      );
      assert.is(preflight.status, 204);
      assert.is(preflight.headers["access-control-allow-headers"], "x-a");
    }));

  test("listens on loopback only, and says so when a port is taken", () =>
    withLocal(async (local) => {
      for (const host of ["0.0.0.0", "192.168.0.1", "example.com"]) {
        try {
          await (await serveClickHouse(local.folder, { host })).close();
          assert.unreachable(host);
        } catch (error) {
          assert.is(exitCodeOf(error), EXIT.usage);
        }
      }
      try {
        await serveClickHouse(local.folder, { port: Number(new URL(local.server.url).port) });
        assert.unreachable("the port is taken");
      } catch (error) {
        assert.is((error as { code?: string }).code, "PORT_UNAVAILABLE");
        assert.is(exitCodeOf(error), EXIT.unavailable);
      }
      assert.is(await local.run("SELECT 1"), "1");
    }));

  test("closes at once although clients keep their lines open, and twice", () =>
    withLocal(async (local) => {
      const agent = new Agent({ keepAlive: true });
      await local.ask({ body: "SELECT 1", agent });
      const started = Date.now();
      await Promise.all([local.server.close(), local.server.close()]);
      assert.ok(Date.now() - started < 2_000);
      agent.destroy();
      const reply = await local.ask({ body: "SELECT 1" }).catch((error) => error.code);
      assert.is(reply, "ECONNREFUSED");
    }));

  test("keeps its data for the next start", () =>
    withLocal(async (local) => {
      await local.run("CREATE TABLE t (id UInt8) ENGINE = MergeTree ORDER BY id");
      await local.run("INSERT INTO t VALUES (1)");
      await local.server.close();
      const next = await serveClickHouse(local.folder);
      assert.is(await new Local(next, local.folder).run("SELECT count() FROM t"), "1");
      await next.close();
    }));
});

describe("splitInsert()", (test) => {
  const split = (sql: string) => {
    const parts = splitInsert(Buffer.from(sql));
    return parts && [parts.head, parts.tail, Buffer.from(parts.rows).toString()];
  };

  test("finds the rows behind the format, and the settings before it", () => {
    assert.equal(split("INSERT INTO t FORMAT CSV\n1\n"), ["INSERT INTO t ", "FORMAT CSV", "1\n"]);
    assert.equal(split("INSERT INTO t (a) SETTINGS x = 'FORMAT' FORMAT CSV \r\n\n1"), [
      "INSERT INTO t (a) ",
      "SETTINGS x = 'FORMAT' FORMAT CSV",
      "\n1",
    ]);
    assert.equal(split("INSERT INTO ü FORMAT CSV ü"), ["INSERT INTO ü ", "FORMAT CSV", "ü"]);
    assert.equal(split("INSERT INTO format (format) FORMAT CSV"), ["INSERT INTO format (format) ", "FORMAT CSV", ""]);
  });

  test("leaves to the engine what it reads itself", () => {
    for (
      const sql of [
        "SELECT 1 FORMAT CSV",
        "INSERT INTO t VALUES (1)",
        "INSERT INTO t FORMAT Values (1)",
        "INSERT INTO t SELECT * FROM s FORMAT CSV",
        "INSERT INTO t FROM INFILE 'x' FORMAT CSV",
        "INSERT INTO t WITH 1 AS a SELECT a",
        "CREATE TABLE t (format String) ENGINE = Memory",
        "",
      ]
    ) assert.is(split(sql), undefined, sql);
  });
});
