/** Amending messages by hand: what is set, what stays, and what cannot be. */
import * as assert from "uvu/assert";
import { amend, parseAssignment } from "../../src/core/amend.ts";
import { describe } from "../helpers/suite.ts";
import { bytesOf, statusWire } from "../helpers/wire.ts";

/** The message after these assignments, or why they cannot be made. */
function amended(content: unknown, ...texts: string[]): unknown {
  const result = amend(bytesOf(content), texts.map((text) => parseAssignment(text)!));
  return result.ok ? JSON.parse(new TextDecoder().decode(result.bytes)) : result.why;
}

describe("parseAssignment", (test) => {
  test("reads a path, and a value that is JSON or else text", () => {
    assert.equal(parseAssignment("data.fps=1.5"), { path: ["data", "fps"], value: 1.5 });
    assert.equal(parseAssignment("id=a=b"), { path: ["id"], value: "a=b" });
    assert.equal(parseAssignment('id="7"'), { path: ["id"], value: "7" });
    assert.equal(parseAssignment("id="), { path: ["id"], value: "" });
    assert.equal(parseAssignment("data=[{}]"), { path: ["data"], value: [{}] });
  });

  test("refuses what names no member", () => {
    for (const text of ["", "id", "=x", "data.=x", ".id=x", "__proto__.x=1", "data.__proto__=1"]) {
      assert.is(parseAssignment(text), undefined, text);
    }
  });
});

describe("amend", (test) => {
  test("leaves the bytes as they are where nothing is set", () => {
    const bytes = bytesOf("{nope");
    assert.equal(amend(bytes, []), { ok: true, bytes });
  });

  test("sets members in objects, arrays, new objects and JSON that stands as text, and nothing else", () => {
    const wire = statusWire();
    assert.equal(amended(wire, "timestamp=5", "data.state=X"), {
      ...wire,
      timestamp: 5,
      data: { ...wire.data as object, state: "X" },
    });
    assert.equal(amended({ data: [{ a: 1 }, 2] }, "data.0.a=3", "data.2=4"), { data: [{ a: 3 }, 2, 4] });
    assert.equal(amended({}, "data.deep.er=1"), { data: { deep: { er: 1 } } });
    assert.equal(amended({ data: '{"a":1}', note: "text" }, "data.b=2"), { data: { a: 1, b: 2 }, note: "text" });
    assert.equal(amended({ data: '{"a":1}' }, "data=x"), { data: "x" });
  });

  test("says why a member cannot be set", () => {
    assert.match(amended("{nope", "id=1") as string, /not valid JSON/);
    assert.match(amended({ data: 5 }, "data.a=1") as string, /data is neither object nor array/);
    assert.match(amended({ data: "text" }, "data.a=1") as string, /data is neither object nor array/);
    assert.match(amended("7", "id=1") as string, /the message is neither/);
    assert.match(amended([1], "5=1") as string, /no place 5/);
    assert.match(amended([1], "length=9") as string, /no place length/);
    assert.match(amended({ data: [] }, "data.x.y=9") as string, /no place x/);
  });
});
