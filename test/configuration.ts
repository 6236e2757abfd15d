/** Writes `deploy/CONFIGURATION.md` from the settings and the command line: `npm run -s configuration`. */
import { writeFileSync } from "node:fs";
import { SETTINGS } from "../src/settings.ts";
import { CONFIGURATION, configurationPage } from "./helpers/configuration.ts";
import { commandLineOfDocs } from "./helpers/docs.ts";

writeFileSync(CONFIGURATION, configurationPage(SETTINGS, commandLineOfDocs()));
