/**
 * What the documents name, held against what there is: links and their anchors, command lines (parsed by the real command
 * line, and not run), scripts, variables, streams and buckets, and paths of the repository.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { configOf, type Context } from "../../src/cli/context.ts";
import { createProgram } from "../../src/cli/program.ts";
import { resolveConfig, SETTINGS } from "../../src/config.ts";
import { bucketStream, wantedStreams } from "../../src/nats/definitions.ts";
import { covers } from "./nats-roles.ts";
import { type Code, type Page, readPage } from "./markdown.ts";
import { commandsIn } from "./shell.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const LEFT_OUT = new Set(["node_modules", "dist"]);

/** Every file of the repository, by its path, folders with a slash at their end. */
function filesOf(folder = ""): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}${entry.name}`;
    if (!entry.isDirectory()) return [path];
    return LEFT_OUT.has(entry.name) || /^\.(?!ci$)/.test(entry.name) ? [] : [`${path}/`, ...filesOf(`${path}/`)];
  });
}

const FILES = new Set(filesOf());
const NAMES = new Set([...FILES].map((path) => basename(path)));
const TOP = new Set([...FILES].map((path) => path.split("/")[0]!));

const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { scripts: Record<string, string> };
const { tasks } = JSON.parse(readFileSync(join(ROOT, "deno.json"), "utf8")) as { tasks: Record<string, string> };

const CONTEXT: Context = {
  env: {},
  takeSignal: () => new AbortController().signal,
  version: "",
  setExitCode: () => {},
};

/** The command line as the documents may use it. */
export function commandLineOfDocs(): Command {
  return createProgram(CONTEXT);
}

/** Every command by its name, such as `replay resume`. */
export function knownCommands(program: Command, prefix = ""): Map<string, Command> {
  const known = new Map<string, Command>();
  for (const command of program.commands) {
    known.set(`${prefix}${command.name()}`, command);
    for (const [name, one] of knownCommands(command, `${prefix}${command.name()} `)) known.set(name, one);
  }
  return known;
}

const COMMANDS = knownCommands(commandLineOfDocs());
const FLAGS = new Set([...COMMANDS.values()].flatMap(({ options }) => options.map(({ long }) => long)));

/** Every document of the repository. */
export function documents(): Page[] {
  const paths = [...FILES].filter((path) => path.endsWith(".md"));
  return paths.map((path) => readPage(path, readFileSync(join(ROOT, path), "utf8")));
}

/** What is wrong with a page, a line each, with its place. */
export async function flawsOf(page: Page): Promise<string[]> {
  const flaws: string[] = [];
  const say = (line: number, what: string) => flaws.push(`${page.path}:${line}: ${what}`);
  for (const { target, line } of page.links) {
    const flaw = linkFlaw(page, target);
    if (flaw !== undefined) say(line, flaw);
  }
  for (const code of page.code) for (const flaw of await codeFlaws(page, code)) say(code.line, flaw);
  for (const [at, line] of page.text.split("\n").entries()) {
    for (const [name] of line.matchAll(/\b(?:LATECOMER|NATS|CLICKHOUSE)_[A-Z][A-Z_]*\b/g)) {
      if (!VARIABLES.has(name)) say(at + 1, `${name} is no variable that is read`);
    }
  }
  return flaws;
}

/** Settings, and what the files of `deploy/` take from their environment. */
const VARIABLES = new Set([
  ...Object.values(SETTINGS).map(({ env }) => env),
  ...[...FILES].filter((path) => /^deploy\/.*\.(conf|yaml)$/.test(path)).flatMap((path) =>
    [...readFileSync(join(ROOT, path), "utf8").matchAll(/\$\{?([A-Z][A-Z_]+)/g)].map(([, name]) => name!)
  ),
]);

function linkFlaw(page: Page, target: string): string | undefined {
  if (/^[a-z]+:/.test(target)) return undefined;
  const [file = "", anchor] = target.split("#");
  const path = file === "" ? page.path : normalize(join(dirname(page.path), file));
  if (!existsSync(join(ROOT, path))) return `the link ${target} leads to nothing`;
  if (anchor === undefined || !path.endsWith(".md")) return undefined;
  const there = path === page.path ? page : readPage(path, readFileSync(join(ROOT, path), "utf8"));
  return there.anchors.has(anchor) ? undefined : `${path} has no heading #${anchor}`;
}

async function codeFlaws(page: Page, { text, language }: Code): Promise<string[]> {
  if (language !== undefined) {
    if (!["sh", ""].includes(language)) return [];
    const commands = commandsIn(text).filter(([program]) => language === "sh" || PROGRAMS.has(program!));
    return (await Promise.all(commands.map((words) => commandFlaws(words, false)))).flat();
  }
  const [words = []] = commandsIn(text.replace(/\[(--?[^\]]+)\]/g, "$1"));
  const [first = "", second] = words;
  if (PROGRAMS.has(first)) return commandFlaws(words, true);
  // Commands are also named without the program: `replay resume <id>`, `run --until-drained`.
  if (COMMANDS.has(`${first} ${second}`) || COMMANDS.has(first) && second?.startsWith("--")) {
    return latecomerFlaws(words, true);
  }
  if (/^--[a-z]/.test(first) && words.length <= 2) {
    const flag = first.split("=")[0]!;
    return FLAGS.has(flag) || OTHER_FLAGS.has(flag) ? [] : [`no command has the flag ${flag}`];
  }
  return pathFlaw(page, text);
}

/** Flags of the project's scripts, which are not commands of the program. */
const OTHER_FLAGS = new Set(["--help", "--check", "--seeds", "--seed", "--trace", "--soak"]);

const CHECKS: Readonly<Record<string, (words: readonly string[], isSpan: boolean) => Promise<string[]> | string[]>> = {
  latecomer: (words, isSpan) => latecomerFlaws(words.slice(1), isSpan),
  npm: npmFlaws,
  "node_modules/.bin/deno": ([, verb, task = "", ...rest], isSpan) => {
    if (verb !== "task" || isPlaceholder(task)) return [];
    if (!(task in tasks)) return [`deno.json has no task ${task}`];
    return task === "latecomer" ? latecomerFlaws(rest, isSpan) : [];
  },
  nats: natsFlaws,
  kubectl: fileFlaws,
  kustomize: fileFlaws,
  docker: fileFlaws,
};
const PROGRAMS = new Set(Object.keys(CHECKS));

async function commandFlaws(words: readonly string[], isSpan: boolean): Promise<string[]> {
  const check = CHECKS[words[0]!] ?? fileFlaws;
  // What stands in a sentence alone is a name.
  return words.length === 1 ? [] : await check(words, isSpan);
}

function npmFlaws(words: readonly string[], isSpan: boolean): Promise<string[]> | string[] {
  const [, verb, ...rest] = words;
  if (verb === "ci") return [];
  if (verb === "test") {
    const patterns = rest.filter((word) => !word.startsWith("-") && !isPlaceholder(word));
    const lacks = (pattern: string) => ![...FILES].some((path) => path.endsWith(".test.ts") && path.includes(pattern));
    return patterns.filter(lacks).map((pattern) => `no test file is called ${pattern}`);
  }
  if (verb !== "run") return [`npm ${verb} is nothing that the project has`];
  const [script = "", dashes, ...args] = rest.filter((word) => word !== "-s");
  if (!isPlaceholder(script) && !(script in scripts)) return [`package.json has no script ${script}`];
  return script === "latecomer" && dashes === "--" ? latecomerFlaws(args, isSpan) : [];
}

/** What stands for a value that the reader knows: upper-case words, words in angle brackets, an ellipsis. */
function isPlaceholder(word: string): boolean {
  return word.includes("…") || /<[^>]+>/.test(word) || /^[A-Z][A-Z0-9_]*$/.test(word) || word.startsWith("$");
}

/** A command line given to the real parser, which only stops short of carrying it out. */
async function latecomerFlaws(args: readonly string[], isSpan: boolean): Promise<string[]> {
  if (args.every(isPlaceholder)) return [];
  const program = commandLineOfDocs();
  const known = knownCommands(program);
  const named = known.get(args.slice(0, 2).join(" ")) ?? known.get(args[0] ?? "");
  // In a sentence a command's name alone names the command, and an ellipsis leaves out arguments.
  const isName = isSpan && known.has(args.join(" "));
  const isPart = isName || args.includes("…");
  if (isName && named?.commands.length !== 0) return [];
  for (const command of [program, ...known.values()]) {
    command.exitOverride().configureOutput({ writeErr: () => {}, writeOut: () => {} });
    for (const taken of [...command.options, ...command.registeredArguments]) {
      const parse = taken.parseArg;
      if (parse !== undefined) taken.parseArg = (value, before) => isPlaceholder(value) ? before : parse(value, before);
    }
    if (isPart) {
      for (const option of command.options) option.mandatory = false;
      for (const argument of command.registeredArguments) argument.required = false;
    }
    // A group of commands does nothing by itself.
    if (command !== program && (command.commands.length === 0 || command.options.length > 0)) {
      command.action(() => {
        const given = Object.entries(command.opts<Record<string, unknown>>());
        configOf(CONTEXT, Object.fromEntries(given.filter(([, value]) => !isPlaceholder(String(value)))));
      });
    }
  }
  try {
    await program.parseAsync(isPart ? args.filter((word, at) => word !== "…" || args[at - 1]?.startsWith("-")) : args, {
      from: "user",
    });
    return [];
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    return code === "commander.helpDisplayed" ? [] : [`latecomer ${args.join(" ")}: ${message}`];
  }
}

const STREAMS = wantedStreams(resolveConfig({}));
const STREAM_NAMES = new Set(STREAMS.map(({ name }) => name));
/** The commands of the NATS command line that the documents use, and what their next argument names. */
const NATS_COMMANDS: Readonly<Record<string, "stream" | "bucket">> = {
  "stream info": "stream",
  "stream purge": "stream",
  "stream get": "stream",
  "stream rmm": "stream",
  "stream backup": "stream",
  "kv del": "bucket",
  "kv ls": "bucket",
  "kv get": "bucket",
};

function natsFlaws([, noun = "", verb = "", name = ""]: readonly string[]): string[] {
  if (noun === "pub") {
    const subject = verb.replace(/<[^>]+>/g, "x");
    const isTaken = STREAMS.some(({ subjects }) => subjects.some((pattern) => covers(pattern, subject)));
    return isTaken ? [] : [`no stream takes the subject ${verb}`];
  }
  const what = NATS_COMMANDS[`${noun} ${verb}`];
  if (what === undefined) return [`nats ${noun} ${verb} is not known to this check`];
  if (name === "" || isPlaceholder(name) && !STREAM_NAMES.has(name)) return [];
  return STREAM_NAMES.has(what === "bucket" ? bucketStream(name) : name) ? [] : [`there is no ${what} ${name}`];
}

/** The files of the repository that any other command names. */
function fileFlaws(words: readonly string[]): string[] {
  return words.slice(1).flatMap((word) => {
    const path = word.replace(/^--?[\w-]+=/, "").replace(/\/$/, "");
    const isOurs = path.includes("/") && TOP.has(path.split("/")[0]!);
    return isOurs && !existsSync(join(ROOT, path)) ? [`there is no ${path}`] : [];
  });
}

const EXTENSION = /\.(ts|mjs|md|sql|json|jsonl|yaml|conf|env|ipynb|png)$/;
/** Files that commands write, and that a reader finds in folders of their own. */
const WRITTEN = /^(\.latecomer\/.*|dist\/.*|capabilities\.jsonl|manifest\.json|assertions\.xml|triage\.html)$/;

/** A span that looks like a path of the repository names one: from its root, from the page, or from `src/`. */
function pathFlaw(page: Page, text: string): string[] {
  if (!/^[\w@.*<>-]+(\/[\w@.*<>-]+)*\/?$/.test(text) || /[*<>]/.test(text) || WRITTEN.test(text)) return [];
  const here = `${dirname(page.path)}/`.replace(/^\.\//, "");
  const bases = ["", here, "src/", "test/"];
  const exists = bases.some((base) => existsSync(join(ROOT, base, text)));
  if (exists) return [];
  const first = text.split("/")[0]!;
  const isPath = text.includes("/")
    ? bases.some((base) => FILES.has(`${base}${first}/`))
    : EXTENSION.test(text) && !NAMES.has(text);
  return isPath ? [`there is no ${text}`] : [];
}

/** What servers say, which our own messages carry. */
const SAID_BY_SERVERS = [
  "maximum",
  "exceeded)",
  "replicas > 1 not supported",
  "NOT_ENOUGH_SPACE",
  "TIMEOUT",
  "temporarily unavailable",
];

/** The messages that the first columns of a page's tables quote and that no code of ours says; an ellipsis is anything. */
export function unsaid(page: Page): string[] {
  const said = ourMessages();
  const unsaid: string[] = [];
  let heading: string | undefined;
  for (const [at, line] of page.text.split("\n").entries()) {
    const [cell] = line.split(/(?<!\\)\|/).slice(1, -1);
    const isHeading = cell !== undefined && heading === undefined;
    if (isHeading || cell === undefined) heading = cell;
    if (isHeading || cell === undefined || !/ (says|see) |says of/.test(heading!)) continue;
    const quotes = [...cell.matchAll(/`([^`]+)`/g)].flatMap(([, quote]) => quote!.split(/…| \(/));
    for (const quote of quotes.map((one) => one.trim()).filter((one) => one.length > 3)) {
      if (said.includes(quote) || SAID_BY_SERVERS.some((theirs) => quote.startsWith(theirs))) continue;
      unsaid.push(`${page.path}:${at + 1}: nothing says "${quote}"`);
    }
  }
  return unsaid;
}

/** The code, with texts that go over several lines put together. */
function ourMessages(): string {
  const sources = [...FILES].filter((path) => path.startsWith("src/") && path.endsWith(".ts"));
  return sources.map((path) => readFileSync(join(ROOT, path), "utf8")).join("\n").replace(/["'`] \+\s+["'`]/g, "");
}

/** The queries that the documents show. */
export function queriesIn(pages: readonly Page[]): { readonly at: string; readonly sql: string }[] {
  return pages.flatMap(({ path, code }) =>
    code.filter(({ text, language }) => language === "sql" || /^SELECT\s/.test(text)).map(({ text, line }) => ({
      at: `${path}:${line}`,
      sql: text,
    }))
  );
}
