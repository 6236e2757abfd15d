/** The operator's page of the settings, `deploy/CONFIGURATION.md`, as the settings and the command line have them. */
import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { flagOf } from "../../src/cli/context.ts";
import { type Config, resolveConfig } from "../../src/config.ts";
import { contentHash } from "../../src/nats/generation.ts";
import type { Setting } from "../../src/settings.ts";
import { knownCommands } from "./docs.ts";

export const CONFIGURATION = new URL("../../deploy/CONFIGURATION.md", import.meta.url);

type Settings = Readonly<Record<string, Setting<unknown>>>;

const HEAD = `# Settings

Written by \`npm run -s configuration\` from \`src/settings.ts\` and the command line.

Settings are environment variables; a flag wins. A variable that begins with \`LATECOMER_\` and is no setting is an error, and
all problems are told at once (exit 2). Durations are written \`250ms\`, \`90s\`, \`10m\`, \`24h\`, \`7d\`. Commands on the default
places use a living \`latecomer dev\`. Values are never shown with their passwords.
`;

/** The page. Settings and commands are given, so that a test can change them. */
export function configurationPage(settings: Settings, program: Command): string {
  const keys = Object.keys(settings);
  const list = (holds: (key: string) => boolean) =>
    keys.filter(holds).map((key) => `[\`${settings[key]!.env}\`](#${anchorOf(settings[key]!.env)})`).join(", ");
  const overview = keys.map((key) => {
    const { env, fallback, help } = settings[key]!;
    return `| [\`${env}\`](#${anchorOf(env)}) | ${shown(fallback)} | ${help} |`;
  });
  return [
    HEAD,
    `May hold a password: ${list((key) => settings[key]!.secret === true)}.`,
    "",
    `Decide the content of rows, so that a change needs a new generation: ${list(decidesContent)}.`,
    "",
    "| variable | default | what it says |",
    "| --- | --- | --- |",
    ...overview,
    "",
    ...keys.map((key) => section(key, settings, program)),
  ].join("\n");
}

function section(key: string, settings: Settings, program: Command): string {
  const { env, fallback, help, more, takes, secret } = settings[key]!;
  const readers = readersOf(settings[key]!, program).map((name) => `\`${name}\``).join(", ");
  // What has no flag of its own says how to reach NATS safely.
  const reading = readers === ""
    ? `It has no flag; read with \`${settings.natsUrl!.env}\`.`
    : `Flag \`${flagOf(env)}\`; read by ${readers}.`;
  const first = `${help[0]!.toUpperCase()}${help.slice(1)}.`;
  return `## \`${env}\`

${more === undefined ? first : `${first} ${more}`}

- Takes ${takes}; default ${shown(fallback)}.
- ${reading}
- ${decidesContent(key) ? "It decides the content of rows." : "It changes no row's content."} ${
    secret ? "It may hold a password: keep it secret." : "It is no secret."
  }
`;
}

/** Whether rows of one value and of another may differ: whether the generation's hash does. */
function decidesContent(key: string): boolean {
  const config = resolveConfig({});
  return contentHash({ ...config, [key]: "another" } as Config) !== contentHash(config);
}

/** The commands that have a flag for a setting. */
function readersOf({ env }: Setting<unknown>, program: Command): string[] {
  return [...knownCommands(program)]
    .filter(([, command]) => command.options.some(({ long }) => long === flagOf(env)))
    .map(([name]) => name);
}

function shown(fallback: string): string {
  return fallback === "" ? "none" : `\`${fallback}\``;
}

function anchorOf(env: string): string {
  return env.toLowerCase();
}

export function storedConfigurationPage(): string {
  return readFileSync(CONFIGURATION, "utf8");
}
