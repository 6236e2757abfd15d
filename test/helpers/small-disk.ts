/** A small file system of its own that a test can fill: a tmpfs, which only root may mount. */
import { execFileSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { inFolder } from "./cluster.ts";

/** Places for files: those of an engine are some thousand. */
const MOST_FILES = 20_000;

/** Written at once when filling; the last piece is halved until nothing fits any more. */
const PIECE_BYTES = 1 << 20;

export class SmallDisk {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  get #filler(): string {
    return join(this.folder, "filler");
  }

  /** Uses up all the space that is left. */
  fill(): void {
    const file = openSync(this.#filler, "w");
    try {
      for (let size = PIECE_BYTES; size >= 1;) {
        try {
          if (writeSync(file, new Uint8Array(size)) < size) size = Math.floor(size / 2);
        } catch (error) {
          if ((error as { code?: string }).code !== "ENOSPC") throw error;
          size = Math.floor(size / 2);
        }
      }
    } finally {
      closeSync(file);
    }
  }

  /** Uses up all places for files, while there is space. */
  fillWithFiles(): void {
    mkdirSync(this.#filler);
    try {
      for (let at = 0;; at++) writeFileSync(join(this.#filler, String(at)), "");
    } catch (error) {
      if ((error as { code?: string }).code !== "ENOSPC") throw error;
    }
  }

  /** Gives back what was used up. */
  free(): void {
    rmSync(this.#filler, { force: true, recursive: true });
  }
}

/** Runs with a file system of so many MiB, which goes when the run has ended, or this process. */
export function withSmallDisk<Result>(mib: number, use: (disk: SmallDisk) => Promise<Result>): Promise<Result> {
  return inFolder(async (folder) => {
    mount(mib, folder);
    // Detached: it goes as soon as nobody has a file of it open.
    const unmount = () => void execFileSync("umount", ["-l", folder], { stdio: "pipe" });
    process.once("exit", unmount);
    try {
      return await use(new SmallDisk(folder));
    } finally {
      process.off("exit", unmount);
      unmount();
    }
  });
}

function mount(mib: number, folder: string): void {
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${mib}m,nr_inodes=${MOST_FILES}`, "latecomer-test", folder], {
    stdio: "pipe",
  });
}

/** Why no small file system can be mounted here; undefined when it can. */
export async function mountRefusal(): Promise<string | undefined> {
  try {
    await withSmallDisk(1, () => Promise.resolve());
    return undefined;
  } catch (error) {
    const { stderr, code } = error as { stderr?: Uint8Array; code?: string };
    return new TextDecoder().decode(stderr).trim() || code || String(error);
  }
}
