/** Removes files and folders, and counts them. A link is removed; what it leads to is neither counted nor touched. */
import { lstat, readdir, readlink, rmdir, unlink } from "node:fs/promises";
import { join } from "node:path";
import { KindredError } from "./errors.js";
import { reasonOf } from "./json.js";

export interface Amount {
  readonly files: number;
  /** Content of the files. */
  readonly bytes: number;
  /** Paths of links, with what they lead to. */
  readonly links: readonly (readonly [path: string, target: string])[];
}

const NOTHING: Amount = { files: 0, bytes: 0, links: [] };

export const sum = (amounts: readonly Amount[]): Amount =>
  amounts.reduce(
    (all, one) => ({
      files: all.files + one.files,
      bytes: all.bytes + one.bytes,
      links: [...all.links, ...one.links],
    }),
    NOTHING,
  );

/** Visits a path and all that is below it, what is in a folder before the folder. */
async function visit(path: string, removes: boolean): Promise<Amount> {
  const found = await lstat(path);
  if (found.isDirectory()) {
    const amounts: Amount[] = [];
    for (const name of await readdir(path)) amounts.push(await visit(join(path, name), removes));
    if (removes) await rmdir(path);
    return sum(amounts);
  }
  const links = found.isSymbolicLink() ? [[path, await readlink(path)] as const] : [];
  if (removes) await unlink(path);
  return { files: 1, bytes: found.isFile() ? found.size : 0, links };
}

async function amountOf(path: string, removes: boolean): Promise<Amount> {
  try {
    return await visit(path, removes);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return NOTHING;
    const message = `${path}: cannot be ${removes ? "removed" : "read"} (${reasonOf(error)})`;
    throw new KindredError("invalid_option", message, { path }, error);
  }
}

/** What is at a path and below it; nothing where there is nothing. */
export const measure = (path: string): Promise<Amount> => amountOf(path, false);

/** Removes what is at a path and below it. @returns what that was; nothing where there was nothing */
export const remove = (path: string): Promise<Amount> => amountOf(path, true);

/** Removes a folder if it is empty. @returns the names that it still holds */
export async function removeIfEmpty(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((): string[] => []);
  // A folder that others need stays: a mounted one, one in a folder that may not be written.
  if (names.length === 0) await rmdir(folder).catch(() => undefined);
  return names;
}
