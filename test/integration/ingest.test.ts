/** The mapping of `deploy/nats/` on a real server against the partitions that `publish` computes; both configurations. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { sessionKeyOf } from "../../src/core/identity.ts";
import { routeOf, SESSION_TYPES } from "../../src/core/route.ts";
import { encodeToken, eventSubject, partitionOf } from "../../src/core/subject.ts";
import { ensureNatsServer } from "../../src/local/nats-install.ts";
import { openEventStream } from "../../src/nats/stream.ts";
import { seeded } from "../../src/runtime/shuffle.ts";
import { encode, inFolder, productionEvents } from "../helpers/cluster.ts";
import { NATS_FOLDER, provision, withRole, withRoleServer } from "../helpers/nats-roles.ts";
import { describe } from "../helpers/suite.ts";

interface Envelope {
  readonly id: string;
  readonly type: string;
  readonly data: { readonly stream_id?: string; readonly request_id?: string };
}

/** A message as a publisher without partitions sends it, and where it must end up. */
interface Sent {
  readonly subject: string;
  readonly bytes: Uint8Array;
  readonly stored: string;
}

/** Session keys of all shapes: usual ones, escaped ones, long ones, those of events that lack an id. */
function sessionKeys(count: number): string[] {
  const random = seeded(7);
  const letters = [..."abcdef0123456789-_", "|", ".", " ", "*", ">", "=", "%", "é", "鍵", "\u{1f511}"];
  const word = (most: number) =>
    Array.from({ length: Math.floor(random() * most) }, () => letters[Math.floor(random() * letters.length)]).join("");
  return Array.from({ length: count }, (_, at) => sessionKeyOf(word(at % 10 === 0 ? 80 : 12), word(12), `e${at}`));
}

function madeUp(partitions: number): Sent[] {
  return sessionKeys(2_000).map((key) => ({
    subject: `ingest.daydream.stream_trace.${encodeToken(key)}`,
    bytes: encode(key),
    stored: eventSubject("daydream", "stream_trace", partitionOf(key, partitions)),
  }));
}

/** Production's events, and where `publish` puts each. */
function real(partitions: number): Sent[] {
  return productionEvents().map((bytes) => {
    const { id, type, data } = JSON.parse(new TextDecoder().decode(bytes)) as Envelope;
    const key = encodeToken(sessionKeyOf(data.stream_id ?? "", data.request_id ?? "", id));
    const subject = SESSION_TYPES.has(type) ? `ingest.daydream.${type}.${key}` : `ingest.daydream.${type}`;
    const route = routeOf(bytes, partitions);
    return { subject, bytes, stored: eventSubject("daydream", route.type, route.partition) };
  });
}

async function requireStored(partitions: number): Promise<void> {
  await inFolder((folder) =>
    withRoleServer(folder, async (server) => {
      await provision(server);
      const sent = [...madeUp(partitions), ...real(partitions)];
      await withRole(server, "publisher", async (nc) => {
        const js = nc.jetstream();
        for (let at = 0; at < sent.length; at += 128) {
          await Promise.all(sent.slice(at, at + 128).map(({ subject, bytes }) => js.publish(subject, bytes)));
        }
      });
      await withRole(server, "reader", async (nc) => {
        const stream = await openEventStream(nc);
        const { firstSeq, lastSeq } = await stream.bounds();
        const stored: string[] = [];
        for await (const slice of stream.messages({ fromSeq: firstSeq, toSeq: lastSeq }, "events.>")) {
          stored.push(...slice.map(({ subject, bytes }) => `${subject} ${new TextDecoder().decode(bytes)}`));
        }
        const wanted = sent.map(({ stored, bytes }) => `${stored} ${new TextDecoder().decode(bytes)}`);
        assert.equal(stored.sort(), wanted.sort());
        const used = new Set(sent.map(({ stored }) => stored.split(".")[3]));
        assert.is(used.size, partitions + 1, "the keys reach every partition");
      });
    }, partitions)
  );
}

describe("the mapping of ingest subjects", (test) => {
  test("puts every event where publish does, for 8 partitions", () => requireStored(8));

  test("puts every event where publish does, for 13 partitions", () => requireStored(13));
});

describe("the configuration of nats-server 2.10", (test) => {
  const read = (name: string) => readFileSync(join(NATS_FOLDER, name), "utf8");
  const settings = (name: string) => read(name).split("\n").filter((line) => !/^\s*(#|$)/.test(line));

  test("is that of 2.9, and writes to the disk what it confirms", () => {
    const newer = settings("nats-2.10.conf");
    assert.equal(newer.filter((line) => !/^ {2}sync_interval: always$/.test(line)), settings("nats-2.9.conf"));
    assert.is(newer.length, settings("nats-2.9.conf").length + 1);
  });

  test("is refused by 2.9 for that alone", async () => {
    const { stdout } = spawnSync(await ensureNatsServer(), ["--version"], { encoding: "utf8" });
    if (!/v2\.9\./.test(stdout)) return console.log(`not looked at: ${stdout.trim()} is here, not 2.9`);
    await inFolder((folder) =>
      withRoleServer(folder, (server) => {
        assert.match(server.checkConfiguration("nats-2.9.conf"), /is valid/);
        const refusal = /nats-2\.10\.conf:\d+:\d+: unknown field "sync_interval"/;
        assert.match(server.checkConfiguration("nats-2.10.conf"), refusal);
      })
    );
  });
});
