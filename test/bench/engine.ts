/** The engine over HTTP in a process of its own: `node engine.js FOLDER`, forked; tells its URL, and its CPU when asked. */
import { serveClickHouse } from "../../src/local/clickhouse-http.ts";

const { url } = await serveClickHouse(process.argv[2]!);
process.on("message", () => process.send!({ cpuMicros: cpuMicros() }));
process.on("disconnect", () => process.exit(0));
process.send!({ url });

function cpuMicros(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}
