/** The documents name what there is, and the check of that finds what there is not. */
import * as assert from "uvu/assert";
import { SETTINGS } from "../../src/settings.ts";
import { configurationPage, storedConfigurationPage } from "../helpers/configuration.ts";
import { commandLineOfDocs, documents, flawsOf, unsaid } from "../helpers/docs.ts";
import { readPage } from "../helpers/markdown.ts";
import { commandsIn } from "../helpers/shell.ts";
import { describe } from "../helpers/suite.ts";

/** What is found in a page of the folder `deploy/`, without its place. */
async function found(text: string): Promise<string[]> {
  const flaws = await flawsOf(readPage("deploy/RUNBOOK.md", text));
  return flaws.map((flaw) => flaw.replace(/^deploy\/RUNBOOK\.md:\d+: /, ""));
}

describe("the documents", (test) => {
  test("name links, commands, scripts, variables, streams and paths that there are", async () => {
    const pages = documents();
    const paths = pages.map(({ path }) => path);
    for (const path of ["README.md", "CHANGELOG.md", "src/README.md", "sql/CONTRACT.md", "streams/CONTRACT.md"]) {
      assert.ok(paths.includes(path), path);
    }
    assert.equal((await Promise.all(pages.map(flawsOf))).flat(), []);
    // Commands that are read are parsed, or nothing would be checked.
    const commands = pages.flatMap(({ code }) => code.filter(({ text }) => text.startsWith("latecomer ")));
    assert.ok(commands.length > 100, `${commands.length} commands`);
  });
});

describe("the runbook", (test) => {
  test("quotes messages as they are said", () => {
    const { text } = documents().find(({ path }) => path === "deploy/RUNBOOK.md")!;
    const unsaidIn = (changed: string) => unsaid(readPage("deploy/RUNBOOK.md", changed));
    assert.equal(unsaidIn(text), []);
    const wrong = text.replace("| `it is starting` |", "| `it is beginning` |");
    assert.equal(unsaidIn(wrong).map((one) => one.replace(/^.*?: /, "")), ['nothing says "it is beginning"']);
  });
});

describe("the check of documents", (test) => {
  test("finds links and anchors that lead nowhere, with their line", async () => {
    assert.equal(await flawsOf(readPage("README.md", "# A b\n\n[a](#a-b) [b](#b)\n[c](src/none.md)\n")), [
      "README.md:3: README.md has no heading #b",
      "README.md:4: the link src/none.md leads to nothing",
    ]);
    assert.equal(await found("[a](METRICS.md#the-log) [b](../README.md) [c](https://example.org/x) [d](grafana/)"), []);
    assert.match(await found("[a](METRICS.md#no-log)").then(String), /deploy\/METRICS.md has no heading #no-log/);
    assert.equal(await found("```\n[a](none.md)\n```"), [], "code has no links");
  });

  test("finds commands that the command line refuses", async () => {
    const refused: [string, RegExp][] = [
      ["`latecomer lunch`", /unknown command 'lunch'/],
      ["`latecomer run --until-dry`", /unknown option '--until-dry'/],
      ["`latecomer replay rewind ID`", /too many arguments|unknown command/],
      ["`latecomer replay resume`\n\n```sh\nlatecomer replay resume\n```", /missing required argument 'id'/],
      ["`latecomer rollup --from 2026-02-01`", /required option '--to/],
      ["`latecomer rollup --from yesterday --to T`", /yesterday/],
      ["`latecomer run --partitions 0`", /LATECOMER_PARTITIONS is "0", expected a whole number/],
      ["`latecomer init extra`", /too many arguments/],
      ["`replay resume ID --now`", /unknown option '--now'/],
      ["`run --until-dry`", /unknown option '--until-dry'/],
      ["`--until-dry`", /no command has the flag --until-dry/],
      ["```sh\nnpm run -s latecomer -- dlq show SEQ --wide  # a comment\n```", /unknown option '--wide'/],
      ["```sh\nlatecomer run \\\n  --until-dry\n```", /unknown option '--until-dry'/],
      ["```sh\nLATECOMER_NAME=a latecomer digest --of x | less\n```", /unknown option '--of'/],
      ["`node_modules/.bin/deno task lunch`", /deno.json has no task lunch/],
      ["`npm run lunch`", /no script lunch/],
      ["`npm test -- no-such-file`", /no test file is called no-such-file/],
      ["`npm start now`", /npm start/],
    ];
    for (const [text, why] of refused) {
      const flaws = await found(text);
      assert.is(flaws.length, 1, `${text}: ${flaws}`);
      assert.match(flaws[0]!, why, text);
    }
  });

  test("takes placeholders for values, brackets for options, and an ellipsis for what is left out", async () => {
    const taken = [
      "`latecomer replay --from-seq A [--to-seq B] --backfill`",
      "`latecomer replay … --backfill`",
      "`latecomer explain '<stream>\\|<request>'`",
      "`latecomer rollup --from … --to …`",
      "`latecomer explain`",
      "`latecomer dlq`",
      "`latecomer dlq republish --seq 7 --set data.pipeline=MODEL`",
      "```sh\nlatecomer explain 'a|b' --json > FILE\n```",
      "```\nlatecomer ─► ClickHouse\n```".replace("latecomer", "it"),
      "`npm run X`",
      "`--to-seq B`",
    ];
    for (const text of taken) assert.equal(await found(text), [], text);
  });

  test("finds variables, streams, subjects and paths that there are not", async () => {
    const refused: [string, RegExp][] = [
      ["LATECOMER_TTL_BEHIND is one", /LATECOMER_TTL_BEHIND/],
      ["`CLICKHOUSE_PASSPHRASE`", /CLICKHOUSE_PASSPHRASE/],
      ["`nats stream purge KV_checkpoint`", /no stream KV_checkpoint/],
      ["`nats kv del session x`", /no bucket session/],
      ["`nats kv mend checkpoints`", /not known to this check/],
      ["`nats pub dusty.<source>.60 ''`", /no stream takes the subject dusty/],
      ["`k8s/base/setings.env`", /no k8s\/base\/setings.env/],
      ["`deploy/none/`", /no deploy\/none/],
      ["`nowhere.ts`", /no nowhere.ts/],
      ["`core/none.ts`", /no core\/none.ts/],
      ["```sh\nkubectl apply -k deploy/k8s/overlays/none\n```", /no deploy\/k8s\/overlays\/none/],
      ["`docker build -f deploy/Dockfile .`", /no deploy\/Dockfile/],
    ];
    for (const [text, why] of refused) {
      const flaws = await found(text);
      assert.is(flaws.length, 1, `${text}: ${flaws}`);
      assert.match(flaws[0]!, why, text);
    }
    const taken = [
      "`NATS_OPERATOR_PASSWORD` and `LATECOMER_…`",
      "`nats kv del checkpoints costs.<partition>`",
      "`nats pub dirty.<source>.<minute> ''`",
      "`k8s/base` and `core/step.ts` and `step.ts` and `/readyz` and `and/or`",
    ];
    for (const text of taken) assert.equal(await found(text), [], text);
  });

  test("reads lines as a shell does", () => {
    assert.equal(commandsIn("a 'b c' \"d e\"f \\\n  g # h\n\n# i\nX=1 j && k > l; m 2> n | o <p>"), [
      ["a", "b c", "d ef", "g"],
      ["j"],
      ["k"],
      ["m"],
      ["o", "<p>"],
    ]);
  });
});

describe("deploy/CONFIGURATION.md", (test) => {
  test("is what the settings and the commands say; a change of either shows", () => {
    const page = () => configurationPage(SETTINGS, commandLineOfDocs());
    const advice = "npm run -s configuration writes it";
    assert.is(storedConfigurationPage(), page(), advice);
    const { partitions } = SETTINGS;
    const changed = { ...SETTINGS, partitions: { ...partitions, fallback: "2" } };
    assert.is.not(configurationPage(changed, commandLineOfDocs()), page());
    const program = commandLineOfDocs();
    program.commands.find((command) => command.name() === "run")!.option("--replicas <n>", "new");
    assert.is.not(configurationPage(SETTINGS, program), page());
  });

  test("tells secrets, what decides content, and who reads a setting", () => {
    const page = readPage("deploy/CONFIGURATION.md", storedConfigurationPage());
    const sectionOf = (env: string) => page.text.split(/^## /m).find((one) => one.startsWith(`\`${env}\``))!;
    for (const { env } of Object.values(SETTINGS)) assert.ok(page.anchors.has(env.toLowerCase()), env);
    assert.match(sectionOf("NATS_URL"), "keep it secret");
    assert.match(sectionOf("LATECOMER_TTL_AFTER"), "It decides the content");
    assert.match(sectionOf("LATECOMER_ALLOWED_LATENESS"), "It changes no row's content. It is no secret.");
    assert.match(sectionOf("LATECOMER_CLUSTER"), "Flag `--cluster`; read by `init`, `forget-source`.");
    assert.match(sectionOf("LATECOMER_PARTITIONS"), "a whole number from 1 to 1024; default `1`");
    assert.match(sectionOf("NATS_CA"), "It has no flag; read with `NATS_URL`.");
  });
});
