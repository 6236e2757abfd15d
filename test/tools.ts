/** Installs what some tests need beside NATS, one after the other; says what cannot be had, for then they are skipped. */
import { CHROMIUM } from "./helpers/browser.ts";
import { NBCONVERT } from "./helpers/notebook.ts";
import { ensureInstalled } from "../src/local/install.ts";
import { ensureNatsServer } from "../src/local/nats-install.ts";

await ensureNatsServer();
for (const wanted of [CHROMIUM, NBCONVERT]) {
  await ensureInstalled(wanted).catch((error: Error) => console.log(`will be skipped: ${error.message}`));
}
