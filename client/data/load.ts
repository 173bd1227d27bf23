/**
 * One client's rows: from a folder with a file per split, from a file of rows, or from the client's row of a population file. All
 * rows are read and checked at once; tokens are made later (encode.ts).
 */
import { access, stat } from "node:fs/promises";
import { join } from "node:path";
import { KindredError } from "../../shared/base/errors.js";
import type { RowFormat } from "../../shared/config/format.js";
import { invalidData as fail } from "./faults.js";
import { isPopulationFile, readClient, readClientLines } from "./population-file.js";
import { readAllRows, rowExtensions } from "./readers.js";
import { rowReader } from "./rows.js";
import { fillSplits } from "./splits.js";
import { type ClientRows, SPLITS, type Split } from "./types.js";
import { show } from "./values.js";

export interface LoadOptions {
  /** Draws missing splits. */
  readonly seed: number;
  readonly format?: RowFormat | undefined;
}

/**
 * One client's rows: a folder with train, validation and test files, a file of rows (all of them training rows), or a
 * population file, of which the row of that name is taken.
 * @throws {KindredError} `not_found`, `invalid_data` or `invalid_config`, naming `file:LINE`, field and value
 */
export async function loadClient(path: string, options: LoadOptions & { readonly name: string }): Promise<ClientRows> {
  const { name, seed, format = {} } = options;
  let folder: boolean;
  try {
    folder = (await stat(path)).isDirectory();
  } catch (cause) {
    const message = `${path}: no such folder or file (data of client ${show(name)})`;
    throw new KindredError("not_found", message, { path }, cause);
  }
  if (folder) return await loadFolder(path, options);
  if (await isPopulationFile(path)) {
    const read = rowReader(format);
    const names: string[] = [];
    for await (const line of readClientLines(path)) {
      if (line.fields.client === name) return readClient(line, read, seed);
      if (names.length < 5) names.push(show(line.fields.client));
    }
    throw fail(path, `has no client ${show(name)}; it begins with ${names.join(", ")}`);
  }
  return { name, ...fillSplits({ train: await readAllRows(path, format) }, seed, name, path) };
}

async function loadFolder(
  path: string,
  { name, seed, format = {} }: LoadOptions & { readonly name: string },
): Promise<ClientRows> {
  const [train, validation, test] = await Promise.all(SPLITS.map((split) => findSplit(path, split)));
  if (train === undefined) {
    const files = rowExtensions().map((extension) => `train${extension}`);
    throw fail(path, `has no train file; rows are looked for in ${files.join(", ")}`);
  }
  const rows = async (file: string | undefined) => (file === undefined ? undefined : await readAllRows(file, format));
  const given = {
    train: await readAllRows(train, format),
    validation: await rows(validation),
    test: await rows(test),
  };
  return { name, ...fillSplits(given, seed, name, path) };
}

/** Whether a folder is one client's: it has a file of training rows. */
export async function hasTrainFile(folder: string): Promise<boolean> {
  return (await findSplit(folder, "train")) !== undefined;
}

/** The file of a split in a folder, or undefined. */
async function findSplit(folder: string, split: Split): Promise<string | undefined> {
  const found: string[] = [];
  for (const extension of rowExtensions()) {
    const path = join(folder, `${split}${extension}`);
    try {
      await access(path);
      found.push(path);
    } catch {
      // Absent: a file with the next extension may be there.
    }
  }
  if (found.length > 1)
    throw fail(folder, `has ${found.length} files for the split ${split}: ${found.join(", ")}; keep one`);
  return found[0];
}
