/** Bodies of HTTP requests and answers, plain or gzipped. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Readable } from "node:stream";
import { promisify } from "node:util";
import { createBrotliDecompress, createGunzip, createInflate, gzip } from "node:zlib";
import { StatementError } from "./clickhouse-session.ts";

/** Largest body in bytes, unpacked: it is held in memory. */
const BODY_MAX_BYTES = 256 << 20;

/** ClickHouse's own default: most of the gain for a fraction of the time. */
const GZIP_LEVEL = 3;

const gzipAsync = promisify(gzip);

/** Reads a whole body and unpacks it as `Content-Encoding` says. Throws a `StatementError` when it cannot. */
export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const encoding = request.headers["content-encoding"] ?? "identity";
  const unpack = unpackerOf(encoding);
  const source: Readable = unpack === undefined ? request : request.pipe(unpack);
  // `pipe` passes on no errors: a line that breaks must end the unpacking, too.
  if (unpack !== undefined) request.once("error", (error) => unpack.destroy(error));
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of source) {
      size += chunk.length;
      if (size > BODY_MAX_BYTES) {
        throw new StatementError(307, `The body is larger than ${BODY_MAX_BYTES} bytes.`, "TOO_MANY_BYTES");
      }
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof StatementError || unpack === undefined) throw error;
    throw new StatementError(354, `The body is not ${encoding}.`, "ZLIB_INFLATE_FAILED");
  }
  return Buffer.concat(chunks);
}

/** Sends a whole answer, gzipped when both sides want that, and resolves when it has been handed over. */
export async function writeBody(
  request: IncomingMessage,
  response: ServerResponse,
  bytes: Uint8Array,
  mayCompress: boolean,
): Promise<void> {
  const wanted = mayCompress && /\bgzip\b/.test(request.headers["accept-encoding"]?.toString() ?? "");
  const body = wanted ? await gzipAsync(bytes, { level: GZIP_LEVEL }) : bytes;
  if (wanted) response.setHeader("Content-Encoding", "gzip");
  response.setHeader("Content-Length", body.length);
  response.statusCode = 200;
  await new Promise<void>((resolve) => {
    // Either it went out, or the client went away; both end the matter.
    response.once("close", resolve);
    response.end(body, resolve);
  });
}

function unpackerOf(encoding: string): ReturnType<typeof createGunzip> | undefined {
  if (encoding === "identity" || encoding === "") return undefined;
  if (encoding === "gzip" || encoding === "x-gzip") return createGunzip();
  if (encoding === "deflate") return createInflate();
  if (encoding === "br") return createBrotliDecompress();
  throw new StatementError(89, `Unknown compression method ${encoding}; gzip works.`, "UNKNOWN_COMPRESSION_METHOD");
}
