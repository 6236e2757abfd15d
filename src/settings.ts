/**
 * Every setting, as one entry of `SETTINGS`: `--help`, the operator's page (`deploy/CONFIGURATION.md`) and the messages
 * about wrong values all come from there.
 */
import { LONGEST_TTL_MS } from "./core/select.ts";
import { formatDuration, parseDuration } from "./core/time.ts";

/** The complete configuration. Durations are in milliseconds and end in `Ms`. */
export interface Config {
  readonly natsUrl: string;
  /** Path of a NATS credentials file, `""` for none. */
  readonly natsCreds: string;
  /** Path of the certificates that the NATS server's must be signed by, `""` for those that the system trusts. */
  readonly natsCa: string;
  /** Paths of a certificate of ours and of its key, for a server that asks for one; `""` for none. */
  readonly natsCert: string;
  readonly natsKey: string;
  readonly clickhouseUrl: string;
  readonly database: string;
  /** The ClickHouse cluster that the schema is made on, `""` for a single server. */
  readonly cluster: string;
  readonly ttlBeforeMs: number;
  readonly ttlAfterMs: number;
  readonly allowedLatenessMs: number;
  /** Name among the processes that share the partitions, `""` for one made up at each start. */
  readonly name: string;
  /** What this process does. */
  readonly roles: readonly Role[];
  readonly partitions: number;
  readonly replicas: number;
  /** How long the stream and the state buckets keep what they hold. */
  readonly streamRetentionMs: number;
  /** Whether tables drop old rows: `contract` by the warehouse's days, `none` never, `auto` by the engine. */
  readonly tableRetention: "auto" | "contract" | "none";
  readonly batchRows: number;
  readonly lingerMs: number;
  readonly maxOpen: number;
  readonly maxSightings: number;
  readonly maxSessions: number;
  readonly maxSeen: number;
  /** Where `run` tells its health and its metrics; 0 for nowhere. */
  readonly httpPort: number;
  readonly logLevel: "debug" | "info" | "warn" | "error";
}

/** `attribute` reads events and writes facts, `rollup` recomputes the minutes that these change. */
export type Role = "attribute" | "rollup";

/** Texts that a setting takes, and what they mean. */
interface Kind<Value> {
  /** What is right, in words: unit and bounds. */
  readonly takes: string;
  /** The value, undefined for a text that is not right. */
  readonly parse: (text: string) => Value | undefined;
}

export interface Setting<Value> extends Kind<Value> {
  readonly env: string;
  readonly fallback: string;
  /** One line for people. */
  readonly help: string;
  /** What an operator should know beyond that, in Markdown: what happens at the edge. */
  readonly more?: string;
  /** True when the value may hold a password: it is never shown whole. */
  readonly secret?: boolean;
}

const texts = (takes: string, isRight: (value: string) => boolean): Kind<string> => ({
  takes,
  parse: (value) => isRight(value) ? value : undefined,
});
const path = texts("a path", () => true);
const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,62}$/;
const NATS_SCHEMES = ["nats://", "tls://", "ws://", "wss://"];
const CLICKHOUSE_PLACES = [/^https?:\/\//, /^chdb:.*[^\s/]/];
const oneOf = <Value extends string>(...values: readonly Value[]): Kind<Value> => ({
  takes: values.join(" or "),
  parse: (value) => values.find((one) => one === value),
});
const someOf = <Value extends string>(...values: readonly Value[]): Kind<readonly Value[]> => ({
  takes: `some of ${values.join(", ")}, each once`,
  parse: (value) => {
    const named = value.split(",").map((name) => name.trim());
    const found = values.filter((one) => named.includes(one));
    return found.length === named.length ? found : undefined;
  },
});
const count = (least: number, most: number): Kind<number> => ({
  takes: `a whole number from ${least} to ${most}`,
  parse: (value) => {
    const number = /^\d+$/.test(value) ? Number(value) : NaN;
    return number >= least && number <= most ? number : undefined;
  },
});
const duration = (least: number, most: number): Kind<number> => ({
  takes: `a duration such as 90s or 24h, from ${formatDuration(least)} to ${formatDuration(most)}`,
  parse: (value) => {
    const ms = parseDuration(value) ?? NaN;
    return ms >= least && ms <= most ? ms : undefined;
  },
});

const DAY_MS = 86_400_000;

/** Every setting, in the order in which people read them. */
export const SETTINGS: { readonly [Key in keyof Config]: Setting<Config[Key]> } = {
  natsUrl: {
    env: "NATS_URL",
    fallback: "nats://127.0.0.1:4222",
    help: "NATS server, or several separated by commas; user and password stand in it (nats://user:password@host)",
    more:
      "A user is percent-encoded, `nats://token@host` names a token. `tls://` demands TLS, by a host's name, not its address.",
    secret: true,
    ...texts(
      `URLs, separated by commas, that each start with ${NATS_SCHEMES.join(" or ")}`,
      (value) => value.split(",").every((one) => NATS_SCHEMES.some((it) => one.startsWith(it)) && URL.canParse(one)),
    ),
  },
  natsCreds: {
    env: "NATS_CREDS",
    fallback: "",
    help: "path of a NATS credentials file",
    more:
      "Instead of a user in `NATS_URL`. The file is a secret, its path is not. It may be renewed under a process that " +
      "runs, as those of NATS_CA, NATS_CERT and NATS_KEY may: they are read whenever it connects.",
    ...path,
  },
  natsCa: {
    env: "NATS_CA",
    fallback: "",
    help: "path of the certificates to trust the NATS server by",
    more: "Demands TLS. Without it the server is trusted by the certificates of the system.",
    ...path,
  },
  natsCert: {
    env: "NATS_CERT",
    fallback: "",
    help: "path of the certificate that NATS is shown",
    more: "For a server that asks for one.",
    ...path,
  },
  natsKey: { env: "NATS_KEY", fallback: "", help: "path of the key of that certificate", ...path },
  clickhouseUrl: {
    env: "CLICKHOUSE_URL",
    fallback: "chdb:.latecomer/clickhouse",
    help: "ClickHouse server (http://, https://) or chdb:<folder> for the embedded engine",
    more: "User and password stand in it, percent-encoded. One process at a time can open a folder.",
    secret: true,
    ...texts(
      "a URL that starts with http:// or https://, or chdb:<folder>",
      (value) => CLICKHOUSE_PLACES.some((place) => place.test(value)),
    ),
  },
  database: {
    env: "LATECOMER_DATABASE",
    fallback: "livepeer_analytics",
    help: "ClickHouse database",
    ...texts("letters, digits and _", (value) => NAME.test(value)),
  },
  cluster: {
    env: "LATECOMER_CLUSTER",
    fallback: "",
    help: "ClickHouse cluster on which init makes replicated and distributed tables; none for a single server",
    more: "It is refused on a database that was made otherwise.",
    ...texts("letters, digits and _", (value) => value === "" || NAME.test(value)),
  },
  ttlBeforeMs: {
    env: "LATECOMER_TTL_BEFORE",
    fallback: "24h",
    help: "how long before a sample a snapshot may lie and still count",
    more: "Another value is refused until the generation is raised (`latecomer init --raise-generation`).",
    ...duration(0, LONGEST_TTL_MS),
  },
  ttlAfterMs: {
    env: "LATECOMER_TTL_AFTER",
    fallback: "24h",
    help: "how long after a sample a snapshot may lie and still count",
    more: "Another value is refused until the generation is raised (`latecomer init --raise-generation`).",
    ...duration(0, LONGEST_TTL_MS),
  },
  allowedLatenessMs: {
    env: "LATECOMER_ALLOWED_LATENESS",
    fallback: "1h",
    help: "how late a snapshot may be and still correct every row; longer needs more memory",
    more: "A later snapshot corrects only what is still open; it is counted, and logged with the window to replay.",
    ...duration(0, 3_650 * DAY_MS),
  },
  name: {
    env: "LATECOMER_NAME",
    fallback: "",
    help: "this process among those that share the partitions; one that starts again under its name goes on at once",
    more:
      "A process without a name waits up to 5 s for the leases of the one before it. A pod takes its own name. Two at once " +
      "under one name both read everything that either has.",
    ...texts("at most 200 characters", (value) => value.length <= 200),
  },
  roles: {
    env: "LATECOMER_ROLES",
    fallback: "attribute,rollup",
    help: "what this process does: attribute the stream, rollup to recompute minutes that changed, or both",
    more: "`rollup` alone needs no partition.",
    ...someOf<Role>("attribute", "rollup"),
  },
  partitions: {
    env: "LATECOMER_PARTITIONS",
    fallback: "1",
    help: "partitions of the session-scoped events; publishers must use the same number",
    more: "A session that is on two partitions for a while is still attributed right.",
    ...count(1, 1_024),
  },
  replicas: {
    env: "LATECOMER_REPLICAS",
    fallback: "1",
    help: "replicas of streams and buckets, at most the size of the NATS cluster",
    more: "More than 1 are refused on a server that is in no cluster.",
    ...count(1, 5),
  },
  streamRetentionMs: {
    env: "LATECOMER_STREAM_RETENTION",
    fallback: "7d",
    help: "how long events and state are kept; nothing older can be replayed",
    more: "It should be no shorter than both TTLs and the allowed lateness together; `latecomer doctor` tells.",
    ...duration(60_000, 3_650 * DAY_MS),
  },
  tableRetention: {
    env: "LATECOMER_TABLE_RETENTION",
    fallback: "auto",
    help: "contract drops table rows by the warehouse's days, none keeps them; auto: contract on a server",
    more: "`auto` keeps everything in the embedded engine. The days are in `sql/CONTRACT.md`.",
    ...oneOf("auto", "contract", "none"),
  },
  batchRows: {
    env: "LATECOMER_BATCH_ROWS",
    fallback: "50000",
    help: "messages or facts that end a batch; eight other rows of a table count as one",
    more:
      "The partitions that a process reads share it alike. As many KiB of messages end a batch too, and 16 MiB. In memory it " +
      "takes some 1.8 KB a message, and while one is inserted the next is filled.",
    ...count(1, 1_000_000),
  },
  lingerMs: {
    env: "LATECOMER_LINGER",
    fallback: "100ms",
    help: "how long a batch that is not full waits for more",
    ...duration(1, 60_000),
  },
  maxOpen: {
    env: "LATECOMER_MAX_OPEN",
    fallback: "1000000",
    help: "open observations per partition; beyond it the oldest close early, and the log says what to replay",
    more:
      "An eighth of it may be such as no snapshot from before them matches in full, or have ids that are no UUIDs: these take " +
      "some 650 bytes of the heap each.",
    ...count(1, 1_000_000_000),
  },
  maxSightings: {
    env: "LATECOMER_MAX_SIGHTINGS",
    fallback: "2000000",
    help: "node sightings of snapshots kept per source; beyond it the oldest snapshots are dropped, and counted",
    more:
      "Then a sixteenth of the bound is dropped at once. What was dropped can attribute nothing any more; the log names the " +
      "window to replay. One takes some 45 bytes.",
    ...count(1, 1_000_000_000),
  },
  maxSessions: {
    env: "LATECOMER_MAX_SESSIONS",
    fallback: "20000",
    help: "sessions kept in memory per partition beside those with open observations; the others wait in their bucket",
    more:
      "An event of one that waits costs a request. At rest one takes some 1.4 KB, with twenty open events some 2.4 KB.",
    ...count(1, 1_000_000_000),
  },
  maxSeen: {
    env: "LATECOMER_MAX_SEEN",
    fallback: "100000",
    help: "event ids remembered per partition to tell duplicates apart",
    more: "A repeat that is not told apart gives the same rows again. Half of it at least are remembered.",
    ...count(2, 1_000_000_000),
  },
  httpPort: {
    env: "LATECOMER_HTTP_PORT",
    fallback: "0",
    help: "port of /healthz, /readyz and /metrics on every address of the machine; 0 for none",
    more: "It is off, so that processes on one machine do not meet. A port that is taken is an error (exit 2).",
    ...count(0, 65_535),
  },
  logLevel: {
    env: "LATECOMER_LOG_LEVEL",
    fallback: "info",
    help: "least severe log line that is written: debug, info, warn or error",
    ...oneOf("debug", "info", "warn", "error"),
  },
};
