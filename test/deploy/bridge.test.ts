/**
 * `deploy/bridge`: the fields of the configuration, and what its mapping says where the processor says it too. Redpanda
 * Connect itself is not run.
 */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import * as assert from "uvu/assert";
import * as v from "valibot";
import { parseDocument } from "yaml";
import { sessionKeyOf } from "../../src/core/identity.ts";
import { routeOf, SESSION_TYPES } from "../../src/core/route.ts";
import { LONGEST_ID } from "../../src/core/payload.ts";
import { encodeToken } from "../../src/core/subject.ts";
import { encode } from "../helpers/cluster.ts";
import { covers, publishPermissions } from "../helpers/nats-roles.ts";
import { describe } from "../helpers/suite.ts";

const FILE = new URL("../../deploy/bridge/connect.yaml", import.meta.url);

const variable = v.pipe(v.string(), v.regex(/^\$\{[A-Z_]+(:[A-Za-z0-9-]+)?\}$/));
const shape = v.strictObject({
  input: v.strictObject({
    redpanda: v.strictObject({
      seed_brokers: v.array(variable),
      topics: v.array(v.string()),
      consumer_group: v.string(),
      start_offset: v.picklist(["earliest", "latest", "committed"]),
      tls: v.strictObject({ enabled: variable }),
      sasl: v.array(v.strictObject({ mechanism: variable, username: variable, password: variable })),
    }),
  }),
  pipeline: v.strictObject({ processors: v.tuple([v.strictObject({ mapping: v.string() })]) }),
  output: v.strictObject({
    nats_jetstream: v.strictObject({
      urls: v.array(variable),
      subject: v.literal("${! @subject }"),
      headers: v.strictObject({ "Nats-Msg-Id": v.literal("${! @message_id }") }),
      max_in_flight: v.pipe(v.number(), v.integer(), v.minValue(1)),
      tls: v.strictObject({ enabled: v.literal(true), root_cas_file: variable }),
      auth: v.strictObject({ user: v.string(), password: variable }),
    }),
  }),
  metrics: v.strictObject({ prometheus: v.strictObject({}) }),
});

const { input, pipeline, output } = v.parse(
  shape,
  (() => {
    const document = parseDocument(readFileSync(FILE, "utf8"));
    if (document.errors.length > 0) throw document.errors[0];
    return document.toJS() as unknown;
  })(),
);
const mapping = pipeline.processors[0].mapping;

function found(pattern: RegExp): string {
  const [, text] = pattern.exec(mapping) ?? [];
  assert.ok(text !== undefined, `no ${pattern} in the mapping`);
  return text!;
}

/** Go's url.QueryEscape, which is what `escape_url_query` calls. */
function queryEscape(text: string): string {
  const escaped = encodeURIComponent(text).replaceAll("%20", "+");
  return escaped.replace(/[!'()*]/g, (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** The token that the mapping makes of a text: its own replacements, carried out in their order. */
function tokenOf(text: string): string {
  const [, blank, steps] = /map token \{\s+root = if this == "" \{ "(.)" \} else \{ this\.escape_url_query\(\)(.*) \}/
    .exec(mapping)!;
  if (text === "") return blank!;
  const replacements = [...steps!.matchAll(/\.replace_all\("([^"]*)", "([^"]*)"\)/g)];
  assert.is(replacements.map(([whole]) => whole).join(""), steps, "nothing but replacements");
  return replacements.reduce((token, [, from, to]) => token.replaceAll(from!, to!), queryEscape(text));
}

describe("the bridge from Kafka", (test) => {
  test("reads both topics, and each has the source that the bridge's user may publish", () => {
    const sources = [...mapping.matchAll(/"(\w+)" => "(\w+)"/g)].map(([, topic, source]) => [topic!, source!]);
    assert.equal(sources.map(([topic]) => topic), input.redpanda.topics);
    const permissions = publishPermissions().get(output.nats_jetstream.auth.user)!;
    for (const [, source] of sources) {
      for (const subject of [`ingest.${source}.stream_trace.key`, `ingest.${source}.network_capabilities`]) {
        assert.ok(permissions.some((one) => covers(one, subject)), subject);
      }
    }
    assert.is(permissions.length, 2 * sources.length, "and no other source");
  });

  test("names a message by topic, partition and offset", () => {
    const id = found(/meta message_id = (.*)/);
    assert.is(id, '@kafka_topic + "/" + @kafka_partition.string() + "/" + @kafka_offset.string()');
  });

  test("leaves the message as it came: it assigns metadata alone", () => {
    const assigned = mapping.split("\n").filter((line) => !line.startsWith(" ")).map((line) =>
      /^(\w+)/.exec(line)?.[1]
    );
    assert.not.ok(assigned.includes("root"));
    assert.is(assigned.filter((word) => word === "meta").length, 2);
  });

  test("gives a key to the types that belong to a session, and to no other", () => {
    const types = JSON.parse(found(/let session = (\[.*\])\.contains\(\$type\)/)) as string[];
    assert.equal(new Set(types), SESSION_TYPES);
    assert.match(mapping, 'if $session { "." + $key.apply("token") } else { "" }');
  });

  test("writes tokens as the processor does, whatever the text", () => {
    assert.is(tokenOf("a|b.c~d e+f=%"), encodeToken("a|b.c~d e+f=%"));
    fc.assert(fc.property(fc.string({ unit: "grapheme" }), (text) => tokenOf(text) === encodeToken(text)));
  });

  test("calls what is missing as the processor does", () => {
    for (const [name, key] of [["_missing_stream", "|r"], ["_missing_request", "s|"]] as const) {
      const [stream, request] = key.split("|");
      assert.ok(sessionKeyOf(stream!, request!, "").includes(name));
      assert.match(mapping, `{ "${name}" }`);
    }
    const nothing = sessionKeyOf("", "", "").split("|");
    assert.match(mapping, `"${nothing[0]}|${nothing[1]}|" + if $id == "" { "${nothing[2]}" } else { $id }`);
    assert.match(mapping, `if $named == "" { "${routeOf(encode("{}"), 1).type}" } else { $named }`);
    assert.match(mapping, `this.length() <= ${LONGEST_ID}`);
  });
});
