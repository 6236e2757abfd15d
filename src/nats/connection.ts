/** The connection to NATS, and the one place where errors of its client become ours. */
import { readFileSync } from "node:fs";
import {
  type Authenticator,
  connect,
  type ConnectionOptions,
  credsAuthenticator,
  ErrorCode,
  type JetStreamManager,
  type NatsConnection,
  NatsError,
} from "nats";
import type { Config } from "../config.ts";
import { LatecomerError } from "../errors.ts";
import { isOlder } from "../release.ts";
import { maskUrl } from "../secrets.ts";

/** What a connection needs to know. */
export type NatsSettings = Pick<Config, "natsUrl" | "natsCreds" | "natsCa" | "natsCert" | "natsKey">;

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
      servers: urlsOf(settings).map(({ protocol, host }) => `${protocol}//${host}`),
      name: "latecomer",
      timeout: CONNECT_TIMEOUT_MS,
      reconnect: true,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 250,
      reconnectJitter: 250,
      // Each request would make two errors with their stacks, in case that it fails.
      noAsyncTraces: true,
      ...credentialsOf(settings),
      ...tlsOf(settings),
    });
  } catch (cause) {
    if (cause instanceof LatecomerError) throw cause;
    const [code, hint] = apart(cause);
    throw new LatecomerError(code, "unavailable", `cannot connect to NATS at ${shown}: ${hint}`, { cause });
  }
  const version = nc.info?.version ?? "0.0.0";
  if (isOlder(version, OLDEST_SERVER)) {
    await nc.close();
    throw new LatecomerError(
      "NATS_TOO_OLD",
      "unavailable",
      `nats-server ${version} at ${shown} is too old: ${OLDEST_SERVER.join(".")} or later is needed`,
    );
  }
  try {
    await (await openManager(nc)).getAccountInfo();
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

/**
 * What JetStream is administered by. That it is there `connectNats` has seen: the client would ask again each time, and
 * what it throws where nobody answers is no error of ours.
 */
export function openManager(nc: NatsConnection): Promise<JetStreamManager> {
  return nc.jetstreamManager({ checkAPI: false });
}

/** Why a server and we did not come together, as a code and for people. */
function apart(cause: unknown): [code: string, hint: string] {
  switch (cause instanceof NatsError ? cause.code : "") {
    case ErrorCode.AuthorizationViolation:
    case ErrorCode.AuthenticationExpired:
      return ["NATS_REFUSED", "it refuses these credentials: check NATS_URL and NATS_CREDS"];
    case ErrorCode.ServerOptionNotAvailable:
      return ["NATS_REFUSED", "it offers no TLS, which tls://, NATS_CA or NATS_CERT demand"];
    case ErrorCode.Timeout:
      // A server whose max_connections are reached closes before it has said who it is, which the client takes for silence.
      return ["NATS_SILENT", "it is silent: its max_connections may be reached, or it hangs; its log tells"];
  }
  if (UNTRUSTED.has((cause as { code?: string }).code ?? "")) {
    const hint = "its certificate is not trusted, or is for another host: check NATS_CA and the host in NATS_URL";
    return ["NATS_REFUSED", hint];
  }
  return ["NATS_UNAVAILABLE", "is a server running there? `latecomer dev` starts one; NATS_URL names another"];
}

function urlsOf({ natsUrl }: NatsSettings): URL[] {
  return natsUrl.split(",").map((url) => new URL(url));
}

/** A credentials file, or user or token of the first URL that names one: the client takes none out of a URL. */
function credentialsOf(settings: NatsSettings): ConnectionOptions {
  const { natsCreds } = settings;
  if (natsCreds !== "") return { authenticator: authenticatorOf(natsCreds) };
  const named = urlsOf(settings).find(({ username }) => username !== "");
  if (named === undefined) return {};
  const user = decodeURIComponent(named.username);
  return named.password === "" ? { token: user } : { user, pass: decodeURIComponent(named.password) };
}

/** Throws CONFIG_INVALID (usage) for a file that is none: the client would fail as if nobody were there. */
function authenticatorOf(natsCreds: string): Authenticator {
  // Read again whenever the client connects: credentials are renewed under processes that run.
  const authenticator = credsAuthenticator(() => readSetting("NATS_CREDS", natsCreds));
  try {
    // As if a server had asked, so that the key is read too.
    authenticator("nonce");
  } catch (cause) {
    throw new LatecomerError("CONFIG_INVALID", "usage", `NATS_CREDS: ${natsCreds} is no credentials file`, { cause });
  }
  return authenticator;
}

/** TLS is used where the server offers it; `tls://` or a file demands it, so that no password goes out in the clear. */
function tlsOf({ natsUrl, natsCa, natsCert, natsKey }: NatsSettings): ConnectionOptions {
  // The client reads them again whenever it connects, for they are renewed too, but would not say which it cannot read.
  const checked = (name: string, path: string) => readSetting(name, path) && path;
  const tls = {
    ...(natsCa === "" ? {} : { caFile: checked("NATS_CA", natsCa) }),
    ...(natsCert === "" ? {} : { certFile: checked("NATS_CERT", natsCert) }),
    ...(natsKey === "" ? {} : { keyFile: checked("NATS_KEY", natsKey) }),
  };
  return Object.keys(tls).length > 0 || natsUrl.includes("tls://") ? { tls } : {};
}

function readSetting(name: string, path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new LatecomerError("CONFIG_INVALID", "usage", `${name}: cannot read ${path}`, { cause });
  }
}

/** What Node says of a certificate that it does not accept. */
const UNTRUSTED: ReadonlySet<string> = new Set([
  "CERT_HAS_EXPIRED",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "ERR_TLS_CERT_ALTNAME_INVALID",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);

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

/** For what is to be removed: that it is not there is no error. */
export function ignoreAbsence(error: unknown): void {
  if (!isNotFound(error)) throw error;
}

/** The JetStream error code of a stream that is not there. */
const STREAM_NOT_FOUND = 10059;

/** True when the stream itself, and not something in it, is not there. */
export function isStreamMissing(error: unknown): boolean {
  return error instanceof NatsError && error.api_error?.err_code === STREAM_NOT_FOUND;
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

/** The JetStream error code of a write for which the account has no room. */
const ACCOUNT_FULL = 10002;

/** True when a write was refused because the account may store no more. */
export function isAccountFull(error: unknown): boolean {
  return error instanceof NatsError && error.api_error?.err_code === ACCOUNT_FULL;
}

/**
 * JetStream error codes of what there is no room for, with what has used it up. Room comes back, by retention,
 * by raising a limit or by a larger disk, so all of them are retryable.
 */
const NO_ROOM: ReadonlyMap<number, string> = new Map([
  [ACCOUNT_FULL, "the account has used up its JetStream storage"],
  [10023, "the NATS server has used up its JetStream storage"],
  [10026, "the stream or the account takes no more consumers"],
  [10027, "the account takes no more streams"],
  [10047, "the NATS server has used up its JetStream storage"],
  [10054, "the stream takes no message so large"],
  [10077, "the stream takes no more"],
]);

/** Codes of the client for what trying again on this connection does not mend, with what to do. */
const UNAVAILABLE: ReadonlyMap<string, string> = new Map([
  // The client reconnects for ever, unless it is turned away twice.
  [ErrorCode.ConnectionClosed, "NATS refuses the credentials of this connection: check NATS_URL and NATS_CREDS"],
  [
    ErrorCode.PermissionsViolation,
    "NATS does not permit it to this user: `latecomer doctor` tells what else it may not",
  ],
  // A connection knows the limit that there was when it was made.
  [ErrorCode.MaxPayloadExceeded, "NATS takes no message so large: raise its max_payload, 8 MB in deploy/nats"],
]);

/**
 * Translates an error of the client; `doing` says what was attempted. A stream that is not there is `unavailable`: trying
 * again does not make it. Ours pass through.
 */
export function natsError(error: unknown, doing: string): LatecomerError {
  if (error instanceof LatecomerError) return error;
  const known = error instanceof NatsError ? error : undefined;
  const status = known?.api_error?.code;
  const noRoom = NO_ROOM.get(known?.api_error?.err_code ?? 0);
  const retryable = known !== undefined &&
    (RETRYABLE.has(known.code) || status === 503 || status === 500 || status === 408 || noRoom !== undefined);
  const unavailable = UNAVAILABLE.get(known?.code ?? "");
  const meaning = noRoom ?? unavailable;
  // The server's own refusals have the same code.
  const isUnheard = known?.code === ErrorCode.NoResponders && known.api_error === undefined;
  const said = isUnheard
    ? "nobody listens there"
    : known?.api_error?.description ?? (error instanceof Error ? error.message : String(error));
  const detail = meaning === undefined ? said : `${meaning} (${said})`;
  return new LatecomerError(
    known?.api_error ? `JETSTREAM_${known.api_error.err_code}` : `NATS_${known?.code ?? "ERROR"}`,
    retryable ? "retryable" : unavailable !== undefined || isStreamMissing(error) ? "unavailable" : "fatal",
    `${doing}: ${detail}`,
    { cause: error },
  );
}
