/** Takes the picture in the README again: the page of the stress scenario with one snapshot withheld. */
import { fileURLToPath } from "node:url";
import { withBrowser } from "./helpers/browser.ts";
import { withServedCluster } from "./helpers/cluster.ts";
import { EVENTS } from "./helpers/stress.ts";
import { settle, takePicture, writePage } from "./helpers/triage.ts";

const PICTURE = fileURLToPath(new URL("../deploy/screenshots/triage.png", import.meta.url));

await withBrowser((browser) =>
  withServedCluster({}, async (cluster) => {
    await settle(cluster, "org", EVENTS);
    await takePicture(browser, await writePage(cluster, cluster.folder), PICTURE);
    console.log(`wrote ${PICTURE}`);
  })
);
