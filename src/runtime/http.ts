/** What a process tells of itself over HTTP: whether it lives, whether it is ready, and its metrics. */
import { createServer, type Server } from "node:http";
import { LatecomerError } from "../errors.ts";

export interface Pages {
  /** Why it is not ready, for people; nothing when it is. */
  obstacles(): readonly string[];
  /** The metrics page. */
  metrics(): Promise<string>;
}

/** The content type of Prometheus' text format. */
const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/**
 * Serves `/healthz` (200 while the process answers at all), `/readyz` (200 or 503, with the reasons) and `/metrics` on
 * every address of the machine until the returned function is called.
 * Throws `CONFIG_INVALID` (usage) when the port cannot be had.
 */
export async function servePages(port: number, pages: Pages): Promise<() => Promise<void>> {
  const server = createServer(async (request, response) => {
    const answer = (status: number, body: string, type = "application/json") => {
      response.writeHead(status, { "content-type": type, "cache-control": "no-store" }).end(body);
    };
    const path = (request.url ?? "").split("?")[0];
    if (path === "/healthz") return answer(200, '{"alive":true}\n');
    if (path === "/readyz") {
      const obstacles = pages.obstacles();
      return answer(
        obstacles.length === 0 ? 200 : 503,
        `${JSON.stringify({ ready: obstacles.length === 0, obstacles })}\n`,
      );
    }
    if (path !== "/metrics") return answer(404, '{"pages":["/healthz","/readyz","/metrics"]}\n');
    await pages.metrics().then(
      (page) => answer(200, page, METRICS_TYPE),
      (error) => answer(500, `${JSON.stringify({ error: String(error) })}\n`),
    );
  });
  await listen(server, port);
  return () =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const why = cause.code === "EADDRINUSE" ? "another process has it" : cause.message;
      const message = `LATECOMER_HTTP_PORT: cannot listen on port ${port}: ${why}; choose another, or 0 for none`;
      reject(new LatecomerError("CONFIG_INVALID", "usage", message, { cause }));
    });
    server.listen(port, resolve);
  });
}
