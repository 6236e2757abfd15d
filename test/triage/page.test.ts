/**
 * The page of `latecomer triage --html` in a real browser, over values that try to be markup: what is seen, sorting, light
 * and dark, a phone's width, and that nothing is fetched, run or reported but what the page is made of.
 */
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import * as assert from "uvu/assert";
import { triagePage } from "../../src/triage/page/page.ts";
import { type Opened, openFile, withBrowser } from "../helpers/browser.ts";
import { inFolder } from "../helpers/cluster.ts";
import { FOUND, HOSTILE } from "../helpers/found.ts";
import { describe } from "../helpers/suite.ts";
import { takePicture } from "../helpers/triage.ts";

const PICTURE = new URL("../../deploy/screenshots/triage.png", import.meta.url);
const MOST_PICTURE_BYTES = 150 * 1_024;

function withPage(use: (browser: Browser, file: string, folder: string) => Promise<void>): Promise<void> {
  return withBrowser((browser) =>
    inFolder(async (folder) => {
      const file = join(folder, "triage.html");
      writeFileSync(file, triagePage(FOUND, Date.UTC(2026, 1, 26)));
      await use(browser, file, folder);
    })
  );
}

/** Nothing went wrong in the page, and it asked for nothing but itself. */
function isQuiet({ errors, requests }: Opened): void {
  assert.equal(errors, []);
  assert.equal(requests.filter((url) => !url.startsWith("file:")), []);
  assert.is(requests.length, 1);
}

/** The cells of a column of the table with this caption. */
function column({ page }: Opened, caption: string, at: number): Promise<string[]> {
  return page.locator("table", { has: page.locator(`caption:text-is("${caption}")`) })
    .locator(`tbody tr td:nth-child(${at})`).allTextContents();
}

/** In the page: the least contrast of its texts with what is behind them, after WCAG 2. */
const LEAST_CONTRAST = `(() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = (colour) => channels(colour).slice(0, 3).map((value) => value / 255)
    .map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, at) => sum + value * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (element) => {
    const colour = getComputedStyle(element).backgroundColor;
    return channels(colour)[3] === 0 ? behind(element.parentElement) : colour;
  };
  let least = 21;
  for (const element of document.querySelectorAll("body *:not(script):not(svg *):not(.swatch)")) {
    if (![...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim() !== "")) continue;
    const [a, b] = [luminance(getComputedStyle(element).color), luminance(behind(element))];
    least = Math.min(least, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05));
  }
  return least;
})()`;

describe("the page of triage", (test) => {
  test("shows values that try to be markup as they are, runs and fetches nothing, and every link leads somewhere", () =>
    withPage(async (browser, file) => {
      const opened = await openFile(browser, file, { viewport: { width: 1_000, height: 800 } });
      const { page } = opened;
      const shown = HOSTILE.map((text) => text.replace("\u0000\u001b", "\ufffd\ufffd"));
      assert.equal(await column(opened, "Wallets", 2), shown);
      assert.equal(await column(opened, "Refused messages by reason", 7), shown);
      assert.is(await page.locator("script").count(), 1);
      assert.is(await page.locator("img, iframe, link:not([rel=icon]), [onmouseover], [onfocus], b").count(), 0);
      assert.is(await page.locator("svg").count(), 2);
      assert.is(await page.locator("svg g").count(), 4);
      assert.match(await page.locator("svg g title").first().textContent() ?? "", HOSTILE[0]!);
      const targets: string[] = await page.evaluate('[...document.links].map((link) => link.getAttribute("href"))');
      for (const target of targets) {
        assert.is(await page.locator(`[id="${target.slice(1)}"]`).count(), 1, target);
      }
      assert.ok(targets.length > 5);
      await page.mouse.move(300, 300);
      isQuiet(opened);
    }));

  test("has a policy under which a script or a picture that came in all the same would not be run or fetched", () =>
    withPage(async (browser, file) => {
      const { page, errors } = await openFile(browser, file);
      await page.evaluate(
        `document.body.insertAdjacentHTML("beforeend", '<img src="x" onerror="document.title = 1">')`,
      );
      await page.evaluate(
        `document.body.append(Object.assign(document.createElement("script"), { text: "document.title = 2" }))`,
      );
      await page.locator("body > img").waitFor({ state: "attached" });
      await page.waitForTimeout(100);
      assert.match(await page.title(), /^Attribution 2026-02-25/);
      assert.ok(errors.some((error) => error.includes("Content Security Policy")), errors.join("\n"));
    }));

  test("sorts by a column, numbers as numbers, up and down, and says so", () =>
    withPage(async (browser, file) => {
      const opened = await openFile(browser, file);
      const table = opened.page.locator("table", { has: opened.page.locator('caption:text-is("Sessions")') });
      const samples = table.locator("th", { hasText: "samples" });
      const grown = HOSTILE.map((_, at) => String(10 ** at));
      await samples.locator("button").click();
      assert.is(await samples.getAttribute("aria-sort"), "ascending");
      assert.equal(await column(opened, "Sessions", 3), grown);
      await samples.locator("button").focus();
      await opened.page.keyboard.press("Enter");
      assert.is(await samples.getAttribute("aria-sort"), "descending");
      assert.equal(await column(opened, "Sessions", 3), [...grown].reverse());
      await opened.page.locator("th", { hasText: "rate" }).locator("button").click();
      assert.equal(await column(opened, "Rows without a key", 4), ["5 %", "40 %"], "0.05 is less than 0.4");
      const session = table.locator("th", { hasText: "session" });
      await session.locator("button").click();
      assert.is(await samples.getAttribute("aria-sort"), null);
      const named = await column(opened, "Sessions", 2);
      assert.equal(named, [...named].sort((a, b) => a.localeCompare(b, "en", { numeric: true })));
      isQuiet(opened);
    }));

  test("is dark where dark is preferred, changes by its switch, and has contrast either way", () =>
    withPage(async (browser, file) => {
      const back = (opened: Opened) => opened.page.evaluate("getComputedStyle(document.body).backgroundColor");
      const light = await openFile(browser, file, { colorScheme: "light" });
      const dark = await openFile(browser, file, { colorScheme: "dark" });
      const [lightBack, darkBack] = [await back(light), await back(dark)];
      assert.equal([lightBack, darkBack], ["rgb(255, 255, 255)", "rgb(20, 23, 26)"]);
      for (const opened of [light, dark]) {
        const contrast = Number(await opened.page.evaluate(LEAST_CONTRAST));
        assert.ok(contrast >= 4.5, `contrast ${contrast}`);
        isQuiet(opened);
      }
      await light.page.locator("#theme").click();
      assert.is(await back(light), darkBack);
      await light.page.locator("#theme").click();
      assert.is(await back(light), lightBack);
      await dark.page.locator("#theme").click();
      assert.is(await back(dark), lightBack);
    }));

  test("fits a phone: tables and pictures scroll by themselves, the page does not", () =>
    withPage(async (browser, file) => {
      const opened = await openFile(browser, file, { viewport: { width: 360, height: 740 }, isMobile: true });
      const { page } = opened;
      assert.is(await page.evaluate("document.documentElement.scrollWidth"), 360);
      const of = (selector: string, what: string) =>
        page.evaluate<number[]>(`[...document.querySelectorAll("${selector}")].map((one) => ${what})`);
      const beyond = await of(".scroll", "one.scrollWidth - one.clientWidth");
      assert.ok(Math.max(...beyond) > 0, "what is too wide is in a part that scrolls");
      const sizes = await of("td, p, li", "parseFloat(getComputedStyle(one).fontSize)");
      assert.ok(Math.min(...sizes) >= 14);
      isQuiet(opened);
    }));

  test("has a heading for each part, a caption for each table and a name for each picture", () =>
    withPage(async (browser, file) => {
      const { page } = await openFile(browser, file);
      assert.is(await page.locator("h1").count(), 1);
      assert.equal(await page.locator("h2").allTextContents(), [
        ...[
          "What is wrong",
          "Empty keys",
          "Who has no key",
          "Corrections",
          "Dead letters",
          "Overlap and parity",
          "Lag",
        ],
      ]);
      assert.is(await page.locator("table:not(:has(> caption)), svg:not([aria-label]), th:not([scope])").count(), 0);
      assert.is(await page.locator("html").getAttribute("lang"), "en");
    }));

  test("says everything within its parts: no text stands loose between them", () =>
    withPage(async (browser, file) => {
      const { page } = await openFile(browser, file);
      const loose = await page.evaluate<string[]>(
        `[...document.querySelectorAll("body, header, main, section, article, ul, figure, .scroll, table, tbody, tr")]
          .flatMap((one) => [...one.childNodes]).filter(({ nodeType }) => nodeType === 3)
          .map(({ textContent }) => textContent.trim()).filter((text) => text !== "")`,
      );
      assert.equal(loose, []);
    }));

  test("is in the README as a small picture that can be taken again", () =>
    withPage(async (browser, file, folder) => {
      const taken = join(folder, "triage.png");
      await takePicture(browser, file, taken);
      const sizeOf = (picture: Uint8Array) => new DataView(picture.buffer, picture.byteOffset).getBigUint64(16);
      const [there, again] = [readFileSync(PICTURE), readFileSync(taken)];
      assert.is(sizeOf(there), sizeOf(again), "the same width and height");
      assert.ok(statSync(PICTURE).size <= MOST_PICTURE_BYTES);
      assert.match(
        readFileSync(new URL("../../README.md", import.meta.url), "utf8"),
        "](deploy/screenshots/triage.png)",
      );
    }));
});
