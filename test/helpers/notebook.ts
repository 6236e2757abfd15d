/** The notebook as a file, and as Jupyter executes it on the Deno kernel. */
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { LatecomerError } from "../../src/errors.ts";
import { ensureInstalled, type Wanted } from "../../src/local/install.ts";

const NOTEBOOK = fileURLToPath(new URL("../../deploy/notebook/triage.ipynb", import.meta.url));
const DENO = fileURLToPath(new URL("../../node_modules/deno/bin.cjs", import.meta.url));

export const NBCONVERT: Wanted = {
  names: ["jupyter-nbconvert"],
  missing: "NBCONVERT_MISSING",
  advice: "install Jupyter's nbconvert and put jupyter-nbconvert on the PATH",
};

/** The kernel's start and some forty queries, on a loaded machine. */
const DEADLINE_MS = 180_000;

/** By default outputs that come four seconds after their cell has ended are dropped without a word. */
const PATIENCE = ["startup_timeout=120", "iopub_timeout=60", "raise_on_iopub_timeout=True"].map(
  (setting) => `--ExecutePreprocessor.${setting}`,
);

const EXECUTIONS_MAX = 4;

export interface Output {
  readonly output_type: "stream" | "display_data" | "execute_result" | "error";
  readonly text?: string | readonly string[];
  readonly data?: Readonly<Record<string, string | readonly string[]>>;
}

export interface Cell {
  readonly id: string;
  readonly cell_type: "code" | "markdown";
  readonly source: readonly string[];
  readonly execution_count?: number | null;
  readonly outputs?: readonly Output[];
}

export interface Notebook {
  readonly nbformat: number;
  readonly metadata: { readonly kernelspec: { readonly name: string; readonly language: string } };
  readonly cells: readonly Cell[];
}

/** The notebook as it is kept. */
export function keptNotebook(): Notebook {
  return JSON.parse(readFileSync(NOTEBOOK, "utf8")) as Notebook;
}

/**
 * The program that executes notebooks, installed if need be. Where it cannot be had this is `undefined`, and said in a line
 * that the test run passes on.
 */
export async function nbconvert(): Promise<string | undefined> {
  try {
    return await ensureInstalled(NBCONVERT);
  } catch (error) {
    if (!(error instanceof LatecomerError)) throw error;
    console.log(`skipped: the notebook was not executed (${error.message})`);
    return undefined;
  }
}

/**
 * Executes the notebook with these variables, until the named cells have shown all that they show. Rejects, with what
 * Jupyter said, when a cell fails. Of what the kernel shows on a loaded machine one output in some thirty gets lost on its
 * way (Deno 2.9): what one execution lacks, another has.
 */
export async function executed(
  program: string,
  variables: Readonly<Record<string, string>>,
  shown: readonly string[],
): Promise<Notebook> {
  let notebook = await executedOnce(program, variables);
  for (let nth = 1; nth < EXECUTIONS_MAX; nth++) {
    if (!notebook.cells.some((cell) => shown.includes(cell.id) && lacksOutput(cell))) break;
    const again = await executedOnce(program, variables);
    notebook = { ...notebook, cells: notebook.cells.map((cell, at) => lacksOutput(cell) ? again.cells[at]! : cell) };
  }
  return notebook;
}

function lacksOutput({ source, outputs = [] }: Cell): boolean {
  return source.join("").split("await display(").length - 1 > outputs.length;
}

async function executedOnce(program: string, variables: Readonly<Record<string, string>>): Promise<Notebook> {
  const folder = mkdtempSync(join(tmpdir(), "latecomer-notebook-"));
  try {
    const kernel = join(folder, "kernels", "deno");
    mkdirSync(kernel, { recursive: true });
    const argv = [...denoCommand(), "jupyter", "--kernel", "--conn", "{connection_file}"];
    writeFileSync(join(kernel, "kernel.json"), JSON.stringify({ argv, display_name: "Deno", language: "typescript" }));
    const inherited = Object.entries(process.env).filter(([name]) => !/^(LATECOMER_|NATS_|CLICKHOUSE_)/.test(name));
    const folders = {
      JUPYTER_PATH: folder,
      JUPYTER_RUNTIME_DIR: folder,
      JUPYTER_CONFIG_DIR: folder,
      IPYTHONDIR: folder,
    };
    const env = { ...Object.fromEntries(inherited), ...folders, ...variables };
    return JSON.parse(
      await outputOf(program, ["--to", "notebook", "--execute", "--stdout", ...PATIENCE, NOTEBOOK], env),
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function outputOf(program: string, args: readonly string[], env: Record<string, string | undefined>): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(program, args, { env, timeout: DEADLINE_MS, maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`the notebook failed: ${stderr}`));
    });
  });
}

function denoCommand(): string[] {
  return process.versions.deno === undefined ? [process.execPath, DENO] : [process.execPath];
}

/** What a cell shows, whatever the medium. Throws when that is nothing. */
export function shownBy({ cells }: Notebook, id: string): string {
  const { outputs = [] } = cells.find((one) => one.id === id) ?? {};
  if (outputs.length === 0) throw new Error(`the cell ${id} shows nothing`);
  return outputs.flatMap(({ text, data = {} }) => [text ?? "", ...Object.values(data)])
    .map((part) => [part].flat().join("")).join("\n");
}
