/** The pictures of the README: small, shown with a text, and true to what a terminal shows. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import * as assert from "uvu/assert";
import { describe } from "../helpers/suite.ts";
import { linesIn, terminalSvg } from "../helpers/terminal.ts";

const FOLDER = new URL("../../deploy/screenshots/", import.meta.url);
const README = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
const MOST_BYTES = 200 * 1_024;

describe("the pictures in the README", (test) => {
  test("are those of the folder, each below 200 KB and with a text for who does not see it", () => {
    const shown = [...README.matchAll(/!\[([^\]]{40,})\]\(deploy\/screenshots\/([^)]+)\)/g)].map(([, , file]) => file!);
    assert.equal(shown.sort(), readdirSync(FOLDER).sort());
    for (const file of shown) assert.ok(statSync(new URL(file, FOLDER)).size < MOST_BYTES, file);
  });
});

describe("the picture of a terminal", (test) => {
  const lines = ["\x1b[90m│\x1b[39m\x1b[1m a <b> \x1b[22m\x1b[90m│\x1b[39m", "", '  "x" & y  '];

  test("keeps text, spaces and looks, each stretch at its column", () => {
    const svg = terminalSvg("<title>", lines);
    assert.equal(linesIn(svg), ["│ a <b> │", "", '  "x" & y  ']);
    assert.match(svg, '<tspan x="24" textLength="56" font-weight="bold">');
    assert.is(svg.match(/fill="#7d8590"/g)!.length, 2);
    assert.not.match(svg, "<b>");
    assert.match(svg, "<title>&lt;title&gt;</title>");
  });

  test("is none of what it would show otherwise than the terminal", () => {
    assert.throws(() => terminalSvg("", ["\x1b[31mred"]), /no picture of/);
  });

  test("has the colours of the terminal in that of the demo", () => {
    const svg = readFileSync(new URL("demo.svg", FOLDER), "utf8");
    assert.ok(svg.match(/font-weight="bold"/g)!.length >= 8 && svg.match(/fill="#7d8590"/g)!.length >= 8);
    assert.match(linesIn(svg).at(-1)!, "The digests are equal");
  });
});
