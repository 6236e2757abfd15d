/**
 * Configuration: environment and flags in, one frozen and complete `Config` out. Nothing else reads settings.
 *
 * Every setting is one line of `SETTINGS`: `--help`, the operator's page and the error messages all come from
 * there. All problems are reported at once, each naming its variable, and a variable with our prefix that is
 * on no line is a problem too: a typo must not become a default.
 */
import { LatecomerError } from "./errors.ts";
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

interface Setting<Value> {
  readonly env: string;
  readonly fallback: string;
  /** One line for people; says the unit and what happens at the edge. */
  readonly help: string;
  readonly secret?: boolean;
  /** The value, or what would have been right. */
  readonly parse: (text: string) => Value | { readonly expected: string };
}

const text = (value: string) => value;
const url = (schemes: readonly string[]) => (value: string) =>
  schemes.some((scheme) => value.startsWith(scheme))
    ? value
    : { expected: `a URL that starts with ${schemes.join(" or ")}` };
const NATS_SCHEMES = ["nats://", "tls://", "ws://", "wss://"];
const natsUrls = (value: string) =>
  value.split(",").every((one) => NATS_SCHEMES.some((scheme) => one.startsWith(scheme)) && URL.canParse(one))
    ? value
    : { expected: `URLs, separated by commas, that each start with ${NATS_SCHEMES.join(" or ")}` };
const oneOf = <Value extends string>(...values: readonly Value[]) => (value: string) =>
  values.find((one) => one === value) ?? { expected: values.join(" or ") };
const someOf = <Value extends string>(...values: readonly Value[]) => (value: string) => {
  const named = value.split(",").map((name) => name.trim());
  const found = values.filter((one) => named.includes(one));
  return found.length === named.length ? found : { expected: `some of ${values.join(", ")}, each once` };
};
const count = (least: number, most: number) => (value: string) => {
  const number = /^\d+$/.test(value) ? Number(value) : NaN;
  return number >= least && number <= most ? number : { expected: `a whole number from ${least} to ${most}` };
};
const duration = (least: number, most: number) => (value: string) => {
  const ms = parseDuration(value) ?? NaN;
  return ms >= least && ms <= most
    ? ms
    : { expected: `a duration such as 90s or 24h, from ${formatDuration(least)} to ${formatDuration(most)}` };
};

const DAY_MS = 86_400_000;

/** Every setting, in the order in which people read them. */
export const SETTINGS: { readonly [Key in keyof Config]: Setting<Config[Key]> } = {
  natsUrl: {
    env: "NATS_URL",
    fallback: "nats://127.0.0.1:4222",
    help: "NATS server, or several separated by commas; user and password stand in it (nats://user:password@host)",
    secret: true,
    parse: natsUrls,
  },
  natsCreds: { env: "NATS_CREDS", fallback: "", help: "path of a NATS credentials file", parse: text },
  natsCa: { env: "NATS_CA", fallback: "", help: "path of the certificates to trust the NATS server by", parse: text },
  natsCert: { env: "NATS_CERT", fallback: "", help: "path of the certificate that NATS is shown", parse: text },
  natsKey: { env: "NATS_KEY", fallback: "", help: "path of the key of that certificate", parse: text },
  clickhouseUrl: {
    env: "CLICKHOUSE_URL",
    fallback: "chdb:.latecomer/clickhouse",
    help: "ClickHouse server (http://, https://) or chdb:<folder> for the embedded engine",
    secret: true,
    parse: url(["http://", "https://", "chdb:"]),
  },
  database: {
    env: "LATECOMER_DATABASE",
    fallback: "livepeer_analytics",
    help: "ClickHouse database",
    parse: (value) => /^[A-Za-z_][A-Za-z0-9_]{0,62}$/.test(value) ? value : { expected: "letters, digits and _" },
  },
  cluster: {
    env: "LATECOMER_CLUSTER",
    fallback: "",
    help: "ClickHouse cluster on which init makes replicated and distributed tables; none for a single server",
    parse: (value) => /^([A-Za-z_][A-Za-z0-9_]{0,62})?$/.test(value) ? value : { expected: "letters, digits and _" },
  },
  ttlBeforeMs: {
    env: "LATECOMER_TTL_BEFORE",
    fallback: "24h",
    help: "how long before a sample a snapshot may lie and still count",
    parse: duration(0, LONGEST_TTL_MS),
  },
  ttlAfterMs: {
    env: "LATECOMER_TTL_AFTER",
    fallback: "24h",
    help: "how long after a sample a snapshot may lie and still count",
    parse: duration(0, LONGEST_TTL_MS),
  },
  allowedLatenessMs: {
    env: "LATECOMER_ALLOWED_LATENESS",
    fallback: "1h",
    help: "how late a snapshot may be and still correct every row; longer needs more memory",
    parse: duration(0, 3_650 * DAY_MS),
  },
  name: {
    env: "LATECOMER_NAME",
    fallback: "",
    help: "this process among those that share the partitions; one that starts again under its name goes on at once",
    parse: (value) => value.length <= 200 ? value : { expected: "at most 200 characters" },
  },
  roles: {
    env: "LATECOMER_ROLES",
    fallback: "attribute,rollup",
    help: "what this process does: attribute the stream, rollup to recompute minutes that changed, or both",
    parse: someOf<Role>("attribute", "rollup"),
  },
  partitions: {
    env: "LATECOMER_PARTITIONS",
    fallback: "1",
    help: "partitions of the session-scoped events; publishers must use the same number",
    parse: count(1, 1_024),
  },
  replicas: {
    env: "LATECOMER_REPLICAS",
    fallback: "1",
    help: "replicas of streams and buckets, at most the size of the NATS cluster",
    parse: count(1, 5),
  },
  streamRetentionMs: {
    env: "LATECOMER_STREAM_RETENTION",
    fallback: "7d",
    help: "how long events and state are kept; nothing older can be replayed",
    parse: duration(60_000, 3_650 * DAY_MS),
  },
  tableRetention: {
    env: "LATECOMER_TABLE_RETENTION",
    fallback: "auto",
    help: "contract drops table rows by the warehouse's days, none keeps them; auto: contract on a server",
    parse: oneOf("auto", "contract", "none"),
  },
  batchRows: {
    env: "LATECOMER_BATCH_ROWS",
    fallback: "10000",
    help: "messages or facts that end a batch; eight other rows of a table count as one",
    parse: count(1, 1_000_000),
  },
  lingerMs: {
    env: "LATECOMER_LINGER",
    fallback: "100ms",
    help: "how long a batch that is not full waits for more",
    parse: duration(1, 60_000),
  },
  maxOpen: {
    env: "LATECOMER_MAX_OPEN",
    fallback: "1000000",
    help: "open observations per partition; beyond it the oldest close early, and the log says what to replay",
    parse: count(1, 1_000_000_000),
  },
  maxSightings: {
    env: "LATECOMER_MAX_SIGHTINGS",
    fallback: "2000000",
    help: "node sightings of snapshots kept per source; beyond it the oldest snapshots are dropped, and counted",
    parse: count(1, 1_000_000_000),
  },
  maxSessions: {
    env: "LATECOMER_MAX_SESSIONS",
    fallback: "20000",
    help: "sessions kept in memory per partition beside those with open observations; the others wait in their bucket",
    parse: count(1, 1_000_000_000),
  },
  maxSeen: {
    env: "LATECOMER_MAX_SEEN",
    fallback: "100000",
    help: "event ids remembered per partition to tell duplicates apart",
    parse: count(2, 1_000_000_000),
  },
  httpPort: {
    env: "LATECOMER_HTTP_PORT",
    fallback: "0",
    help: "port of /healthz, /readyz and /metrics on every address of the machine; 0 for none",
    parse: count(0, 65_535),
  },
  logLevel: {
    env: "LATECOMER_LOG_LEVEL",
    fallback: "info",
    help: "least severe log line that is written: debug, info, warn or error",
    parse: oneOf("debug", "info", "warn", "error"),
  },
};

/** What a flag or another finding of the command line sets; it wins over the environment. */
export type Overrides = { readonly [Key in keyof Config]?: string | undefined };

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Resolves the configuration. `defaults` stand where neither a flag nor a variable says anything.
 * Throws CONFIG_INVALID (usage) that lists every problem.
 */
export function resolveConfig(env: Environment, overrides: Overrides = {}, defaults: Overrides = {}): Config {
  const problems: string[] = [];
  const known = new Set<string>();
  const config: Record<string, unknown> = {};
  for (const [key, setting] of Object.entries(SETTINGS) as [keyof Config, Setting<unknown>][]) {
    known.add(setting.env);
    const given = overrides[key] ?? (env[setting.env] || undefined) ?? defaults[key] ?? setting.fallback;
    const parsed = setting.parse(given);
    if (typeof parsed === "object" && parsed !== null && "expected" in parsed) {
      const shown = setting.secret ? maskUrl(given) : given;
      problems.push(`${setting.env} is "${shown}", expected ${parsed.expected}`);
    } else {
      config[key] = parsed;
    }
  }
  for (const name of Object.keys(env)) {
    if (name.startsWith("LATECOMER_") && !known.has(name)) problems.push(`${name} is no setting of Latecomer`);
  }
  if (problems.length > 0) {
    throw new LatecomerError(
      "CONFIG_INVALID",
      "usage",
      `configuration:\n${problems.map((one) => `  ${one}`).join("\n")}`,
    );
  }
  return Object.freeze(config as unknown as Config);
}

/**
 * A URL, or several separated by commas, as it may be shown: without user, password and parameters. What cannot be
 * read as a URL is not shown at all, for nobody knows where in it a password is.
 */
export function maskUrl(value: string): string {
  if (value.startsWith("chdb:")) return value;
  return value.split(",").map((one) => {
    const url = URL.canParse(one) ? new URL(one) : undefined;
    if (url === undefined || url.host === "" || url.pathname.includes("@")) return "***";
    const user = url.username !== "" || url.password !== "" ? "***@" : "";
    const path = url.pathname === "/" ? "" : url.pathname;
    return `${url.protocol}//${user}${url.host}${path}${url.search === "" ? "" : "?***"}`;
  }).join(",");
}

/** The configuration as name → text, secrets masked, for the log at start and for `doctor`. */
export function describeConfig(config: Config): Record<string, string> {
  return Object.fromEntries(
    (Object.entries(SETTINGS) as [keyof Config, Setting<unknown>][]).map(([key, setting]) => {
      const value = config[key];
      const shown = key.endsWith("Ms") ? formatDuration(value as number) : String(value);
      return [setting.env, setting.secret ? maskUrl(shown) : shown];
    }),
  );
}
