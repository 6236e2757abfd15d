/** A real browser without a window, for what is to be seen in one. */
import { pathToFileURL } from "node:url";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { LatecomerError } from "../../src/errors.ts";
import { ensureInstalled, type Wanted } from "../../src/local/install.ts";

export const CHROMIUM: Wanted = {
  names: ["chromium", "chromium-browser", "google-chrome"],
  missing: "CHROMIUM_MISSING",
  advice: "install chromium and put it on the PATH",
};

/** It may call nobody by itself, and its sandbox does not work for root or in a container. */
const ARGUMENTS = [
  ...["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
  ...["--disable-component-update", "--disable-sync"],
];

/**
 * Runs with a browser. Where none can be had the work is skipped, which is said in a line that the test run passes on.
 */
export async function withBrowser(use: (browser: Browser) => Promise<void>): Promise<void> {
  let program: string;
  try {
    program = await ensureInstalled(CHROMIUM);
  } catch (error) {
    if (!(error instanceof LatecomerError)) throw error;
    console.log(`skipped: nothing was looked at in a browser (${error.message})`);
    return;
  }
  const browser = await chromium.launch({ executablePath: program, headless: true, args: ARGUMENTS });
  try {
    await use(browser);
  } finally {
    await browser.close();
  }
}

/** A page as it was opened, with what went wrong in it and what it asked of others. */
export interface Opened {
  readonly page: Page;
  readonly errors: readonly string[];
  readonly requests: readonly string[];
}

/** Opens a file; everything that the page asks for but the file itself is noted. */
export async function openFile(browser: Browser, file: string, options: BrowserContextOptions = {}): Promise<Opened> {
  const page = await (await browser.newContext(options)).newPage();
  const [errors, requests]: [string[], string[]] = [[], []];
  page.on("console", (message) => errors.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("request", (request) => requests.push(request.url()));
  page.on("dialog", (dialog) => {
    errors.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  await page.goto(pathToFileURL(file).href);
  return { page, errors, requests };
}
