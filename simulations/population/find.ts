/**
 * Finds the clients of a folder or of a glob: files of rows, and folders with a train file, in the order of their names. It opens no
 * file of rows.
 */
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join, relative, sep } from "node:path";
import { glob, isDynamicPattern } from "tinyglobby";
import { invalidData as fail } from "../../client/data/faults.js";
import { hasTrainFile } from "../../client/data/load.js";
import { rowExtensions, rowsStem } from "../../client/data/readers.js";
import { SPLITS } from "../../client/data/types.js";
import { show } from "../../client/data/values.js";

/** A client that was found: its name, and its folder or file. */
export interface FoundClient {
  readonly name: string;
  readonly data: string;
}

/** Whether a path is the file of one split, whose folder is a client: `hospital/train.jsonl`. */
const isSplit = (path: string): boolean => (SPLITS as readonly string[]).includes(basename(rowsStem(path) ?? ""));

/** Beside clients a folder may hold notes for people. Anything else might be a client that was meant. */
const isNote = (name: string): boolean => name.startsWith(".") || name.endsWith(".md") || !name.includes(".");

/**
 * The clients of a path that is a folder or a glob; undefined where it is a file or is not there.
 * @param path absolute; in a glob `/` separates folders, and a backslash takes a character by itself
 * @throws {KindredError} `invalid_data` where no client is found, two have one name, or something else is among them
 */
export async function findClients(path: string): Promise<readonly FoundClient[] | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isDirectory() && rowsStem(path) === undefined) return named(path, await childrenOf(path));
  if (found !== undefined || !isDynamicPattern(path)) return undefined;
  const matches = await glob(path, {
    absolute: true,
    onlyFiles: false,
    onlyDirectories: path.endsWith("/"),
    expandDirectories: false,
  });
  if (matches.length === 0) throw fail(path, "no file and no folder matches it; give a pattern such as data/*.jsonl");
  return named(path, await clientsAmong(matches));
}

/** A folder's files of rows, and its folders with a train file. */
async function childrenOf(folder: string): Promise<string[]> {
  const entries = (await readdir(folder, { withFileTypes: true })).filter(({ name }) => !name.startsWith("."));
  const split = entries.find(({ name }) => isSplit(name));
  if (split !== undefined) {
    throw fail(
      folder,
      `has ${split.name}, so it is one client's folder; a population is a folder of clients' files or folders`,
    );
  }
  const clients: string[] = [];
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if ((await stat(path)).isDirectory()) {
      if (!(await hasTrainFile(path))) {
        throw fail(
          path,
          "is a folder without a train file; add it, or choose the clients by a pattern such as data/*/",
        );
      }
      clients.push(path);
    } else if (rowsStem(path) !== undefined) clients.push(path);
    else if (!isNote(entry.name)) {
      throw fail(
        path,
        `is no file of rows (${rowExtensions().join(", ")}); move it, or choose the files by a pattern such as data/*.jsonl`,
      );
    }
  }
  if (clients.length === 0) {
    throw fail(
      folder,
      `holds no clients; expected files of rows (${rowExtensions().join(", ")}) or folders with a train file`,
    );
  }
  return clients;
}

/** What a glob matched, as clients: of a split's file, its folder. */
async function clientsAmong(matches: readonly string[]): Promise<string[]> {
  const clients = new Set<string>();
  for (const match of matches) {
    const path = match.endsWith("/") ? match.slice(0, -1) : match;
    if ((await stat(path)).isDirectory()) {
      if (!(await hasTrainFile(path))) throw fail(path, "is a folder without a train file; narrow the pattern");
      clients.add(path);
    } else if (isSplit(path)) clients.add(dirname(path));
    else if (rowsStem(path) === undefined) {
      throw fail(
        path,
        `is no file of rows (${rowExtensions().join(", ")}); narrow the pattern, for example data/*.jsonl`,
      );
    } else clients.add(path);
  }
  return [...clients];
}

/** The last folder that all paths have in common. */
function commonFolder(paths: readonly string[]): string {
  let common = dirname(paths[0] as string);
  while (!paths.every((path) => path.startsWith(common.endsWith(sep) ? common : common + sep)))
    common = dirname(common);
  return common;
}

/** Clients under the names of their files and folders; under their paths where these alone tell them apart. */
function named(where: string, paths: readonly string[]): FoundClient[] {
  const common = commonFolder(paths);
  const clients = paths.map((path) => ({
    name: relative(common, rowsStem(path) ?? path)
      .split(sep)
      .join("/"),
    data: path,
  }));
  clients.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.data < b.data ? -1 : 1));
  clients.forEach(({ name, data }, at) => {
    const before = clients[at - 1];
    if (before?.name === name) {
      throw fail(where, `${before.data} and ${data} would both be the client ${show(name)}; rename one of them`);
    }
  });
  return clients;
}
