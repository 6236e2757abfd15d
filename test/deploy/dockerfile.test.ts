/** `deploy/Dockerfile` as a text: what it builds from, what it takes in, as whom it runs. */
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { only, readCopy, readStages, ROOT } from "../helpers/dockerfile.ts";
import { describe } from "../helpers/suite.ts";

const stages = readStages();
const image = stages.at(-1)!;
const { version, license } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));

/** How the health check of the image ends when the process answers with this status. */
async function healthOf(status: number): Promise<number | null> {
  const [, command] = / CMD (\[.*\])$/.exec(only(image, "HEALTHCHECK"))!;
  const [, ...args] = JSON.parse(command!) as string[];
  const server = createServer((request, answer) => answer.writeHead(request.url === "/healthz" ? status : 404).end());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const script = args.map((arg) => arg.replace("127.0.0.1:8080", `127.0.0.1:${port}`));
  assert.not.equal(script, args);
  const child = spawn(process.execPath, script, { stdio: "ignore" });
  const code = await new Promise<number | null>((resolve) => child.once("exit", resolve));
  server.close();
  return code;
}

describe("the Dockerfile", (test) => {
  test("builds with tools and ships without: the last image has neither npm nor a shell, and runs nothing", () => {
    assert.equal(stages.map(({ name }) => name), ["build", "packages", ""]);
    for (const { image } of stages) assert.match(image, /^[\w./-]+:[\w.-]+$/, "an image without a tag is the latest");
    assert.match(image.image, /distroless\/nodejs\d+-debian\d+:nonroot/);
    assert.equal(image.instructions.filter(({ name }) => name === "RUN"), []);
    const majors = stages.map(({ image }) => /node(?:js)?:?(\d+)/.exec(image)?.[1]);
    assert.is(new Set(majors).size, 1, "one version of Node");
  });

  test("runs as a user that is not root, named by number", () => {
    assert.match(only(image, "USER"), /^[1-9]\d*:[1-9]\d*$/);
    const last = image.instructions.findLastIndex(({ name }) => name === "COPY");
    assert.ok(
      last < image.instructions.findIndex(({ name }) => name === "USER"),
      "what it runs is not its own to change",
    );
  });

  test("copies what there is, and lets nothing else into the build", () => {
    const ignore = readFileSync(join(ROOT, "deploy/Dockerfile.dockerignore"), "utf8").trim().split("\n");
    assert.is(ignore[0], "*");
    const taken = new Set<string>();
    for (const { instructions } of stages) {
      for (const { text } of instructions.filter(({ name }) => name === "COPY")) {
        const { from, sources } = readCopy(text);
        if (from !== "") assert.ok(stages.some(({ name }) => name === from), from);
        else sources.forEach((source) => taken.add(source));
      }
    }
    assert.equal(ignore.slice(1).map((line) => line.slice(1)).sort(), [...taken].sort());
    for (const source of taken) assert.ok(existsSync(join(ROOT, source)), source);
  });

  test("holds no secret, and takes no argument that could be one", () => {
    for (const { instructions } of stages) {
      for (const { name, text } of instructions) {
        assert.not.match(text, /password|secret|token|\/\/[^/\s]+@/i);
        assert.not.ok(name === "ENV" && /NATS|CLICKHOUSE|LATECOMER_(?!HTTP_PORT=8080)/.test(text), text);
      }
    }
  });

  test("says what it is", () => {
    const labels = only(image, "LABEL");
    assert.match(labels, `org.opencontainers.image.version="${version}"`);
    assert.match(labels, `org.opencontainers.image.licenses="${license}"`);
  });

  test("is healthy while the process says so", async () => {
    assert.is(await healthOf(200), 0);
    assert.is(await healthOf(503), 1);
  });
});
