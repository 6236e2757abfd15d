/**
 * Configuration: environment and flags in, one frozen and complete `Config` out. Nothing else reads settings.
 *
 * All problems are reported at once, each naming its variable, and a variable with our prefix that is no setting is a
 * problem too: a typo must not become a default.
 */
import { LatecomerError } from "./errors.ts";
import { formatDuration } from "./core/time.ts";
import { maskUrl } from "./secrets.ts";
import { type Config, type Setting, SETTINGS } from "./settings.ts";

export { type Config, type Role, SETTINGS } from "./settings.ts";

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
    const shown = setting.secret ? maskUrl(given) : given;
    if (parsed === undefined) problems.push(`${setting.env} is "${shown}", expected ${setting.takes}`);
    else config[key] = parsed;
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
