/** The connection to NATS, and the one place where errors of its client become ours. */
import { readFileSync } from "node:fs";
import { connect, credsAuthenticator, ErrorCode, type NatsConnection, NatsError } from "nats";
import { maskUrl } from "../config.ts";
import { LatecomerError } from "../errors.ts";

/** What a connection needs to know. */
export interface NatsSettings {
  readonly natsUrl: string;
  readonly natsCreds: string;
}

/** The oldest server whose JetStream has all that we use. */
const OLDEST_SERVER = [2, 9, 0] as const;

/** How long the first connection may take, in milliseconds; afterwards the client reconnects for ever. */
const CONNECT_TIMEOUT_MS = 5_000;

/**
 * Connects, and checks that the server is new enough and has JetStream.
 * Throws `unavailable` errors that say what to do.
 */
export async function connectNats(settings: NatsSettings): Promise<NatsConnection> {
  const shown = maskUrl(settings.natsUrl);
  let nc: NatsConnection;
  try {
    nc = await connect({
      servers: settings.natsUrl.split(","),
      name: "latecomer",
      timeout: CONNECT_TIMEOUT_MS,
      reconnect: true,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 250,
      reconnectJitter: 250,
      ...(settings.natsCreds === ""
        ? credentialsIn(settings.natsUrl)
        : { authenticator: credsAuthenticator(readCreds(settings.natsCreds)) }),
    });
  } catch (cause) {
    if (cause instanceof LatecomerError) throw cause;
    const code = cause instanceof NatsError ? cause.code : "";
    const hint = code === ErrorCode.AuthorizationViolation || code === ErrorCode.AuthenticationExpired
      ? "it refuses these credentials: check NATS_URL and NATS_CREDS"
      : "is a server running there? `latecomer dev` starts one; NATS_URL names another";
    throw new LatecomerError("NATS_UNAVAILABLE", "unavailable", `cannot connect to NATS at ${shown}: ${hint}`, {
      cause,
    });
  }
  const version = nc.info?.version ?? "0.0.0";
  if (isOlder(version)) {
    await nc.close();
    throw new LatecomerError(
      "NATS_TOO_OLD",
      "unavailable",
      `nats-server ${version} at ${shown} is too old: ${OLDEST_SERVER.join(".")} or later is needed`,
    );
  }
  try {
    await (await nc.jetstreamManager()).getAccountInfo();
  } catch (cause) {
    await nc.close();
    throw new LatecomerError(
      "JETSTREAM_UNAVAILABLE",
      "unavailable",
      `JetStream does not answer at ${shown}: start nats-server with -js, and enable JetStream for the account`,
      { cause },
    );
  }
  return nc;
}

/** User and password, or a token, of the first URL that has any: the client itself looks at none. */
function credentialsIn(natsUrl: string): { user: string; pass: string } | { token: string } | Record<never, never> {
  const urls = natsUrl.split(",").filter((one) => URL.canParse(one)).map((one) => new URL(one));
  const { username, password } = urls.find((url) => url.username !== "") ?? { username: "", password: "" };
  if (username === "") return {};
  const user = decodeURIComponent(username);
  return password === "" ? { token: user } : { user, pass: decodeURIComponent(password) };
}

function readCreds(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new LatecomerError("CONFIG_INVALID", "usage", `NATS_CREDS: cannot read ${path}`, { cause });
  }
}

function isOlder(version: string): boolean {
  const parts = version.split(/[.-]/).map(Number);
  for (const [at, least] of OLDEST_SERVER.entries()) {
    const part = parts[at] ?? 0;
    if (part !== least) return part < least;
  }
  return false;
}

/** The JetStream error code of a failed compare-and-set. */
const WRONG_LAST_SEQUENCE = 10071;

/** True when a write was refused because somebody else wrote the subject first. */
export function isConflict(error: unknown): boolean {
  return error instanceof NatsError && error.api_error?.err_code === WRONG_LAST_SEQUENCE;
}

/** True when a stream, consumer, key or message is not there. */
export function isNotFound(error: unknown): boolean {
  return error instanceof NatsError && (error.api_error?.code === 404 || error.code === "404");
}

/** Codes of the client and of JetStream that pass when the server is back, the leader elected or space freed. */
const RETRYABLE: ReadonlySet<string> = new Set([
  ErrorCode.Timeout,
  ErrorCode.NoResponders,
  ErrorCode.Disconnect,
  ErrorCode.ConnectionRefused,
  ErrorCode.ConnectionTimeout,
  ErrorCode.JetStream408RequestTimeout,
  "503",
]);

/**
 * JetStream error codes of a write for which there is no room, with what has used it up. Room comes back, by retention,
 * by raising a limit or by a larger disk, so all of them are retryable.
 */
const NO_ROOM: ReadonlyMap<number, string> = new Map([
  [10002, "the account has used up its JetStream storage"],
  [10023, "the NATS server has used up its JetStream storage"],
  [10047, "the NATS server has used up its JetStream storage"],
  [10077, "the stream takes no more"],
]);

/** Translates an error of the client; `doing` says what was attempted. Ours pass through. */
export function natsError(error: unknown, doing: string): LatecomerError {
  if (error instanceof LatecomerError) return error;
  const known = error instanceof NatsError ? error : undefined;
  const status = known?.api_error?.code;
  const noRoom = NO_ROOM.get(known?.api_error?.err_code ?? 0);
  const retryable = known !== undefined &&
    (RETRYABLE.has(known.code) || status === 503 || status === 500 || status === 408 || noRoom !== undefined);
  const said = known?.api_error?.description ?? (error instanceof Error ? error.message : String(error));
  const detail = noRoom === undefined ? said : `${noRoom} (${said})`;
  return new LatecomerError(
    known?.api_error ? `JETSTREAM_${known.api_error.err_code}` : `NATS_${known?.code ?? "ERROR"}`,
    retryable ? "retryable" : "fatal",
    `${doing}: ${detail}`,
    { cause: error },
  );
}
