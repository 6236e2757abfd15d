/** Writes `test/parity.md` from `test/parity.json`: `npm run -s parity`. Ends with 1 when the list is not whole. */
import { writeFileSync } from "node:fs";
import { declaredTests, markdownOf, parityList, problemsOf } from "./helpers/parity.ts";

const list = parityList();
const problems = problemsOf(list, declaredTests());
for (const problem of problems) console.error(problem);
writeFileSync(new URL("parity.md", import.meta.url), markdownOf(list));
process.exitCode = problems.length === 0 ? 0 : 1;
