/** Writes `sql/SCHEMA.md` from the migrated schema: `npm run -s schema`. */
import { writeFileSync } from "node:fs";
import { readSchema, schemaText, withSchema } from "./helpers/schema.ts";

writeFileSync(new URL("../sql/SCHEMA.md", import.meta.url), schemaText(await withSchema(readSchema)));
// The embedded engine leaves threads behind that would keep the process.
process.exit(0);
