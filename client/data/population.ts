/**
 * Clients and their rows: a population file (one client a line), a list of folders, or one client's own file or folder.
 * Rows are read and checked at once, so that a mistake in the last client's data is known before the first is trained;
 * tokens are made later, a client at a time.
 */
import { access, stat } from "node:fs/promises";
import { join } from "node:path";
import { KindredError } from "../../shared/base/errors.js";
import { MAX_CLIENT_BYTES, readLines } from "../../shared/base/lines.js";
import { mergeFormats, type RowFormat } from "../../shared/config/format.js";
import { parseJson, ROW_FILE_ENDINGS, readAllRows } from "./readers.js";
import { type RowReader, rowReader, show } from "./rows.js";
import { fillSplits } from "./splits.js";
import { type ClientRows, type Example, SPLITS, type Split } from "./types.js";

/** One client of a list. Its format's fields take the place of the population's. */
export interface PopulationEntry {
  readonly name: string;
  /** Folder or file of rows, absolute or relative to the working directory. */
  readonly data: string;
  /** The planted group, where it is known. */
  readonly group?: string | undefined;
  readonly format?: RowFormat | undefined;
}

export interface PlantedGroups {
  /** What the population calls them, in order of appearance. */
  readonly names: readonly string[];
  /** Clients of each: a partition. */
  readonly groups: readonly (readonly string[])[];
}

export interface Population {
  /** In the population's order; names are unique. */
  readonly clients: readonly ClientRows[];
  /** Where every client names its group. */
  readonly planted?: PlantedGroups;
}

export interface LoadOptions {
  /** Draws missing splits. */
  readonly seed: number;
  readonly format?: RowFormat | undefined;
}

/** Names appear in reports, tables and messages. */
const MAX_NAME_LENGTH = 200;

/** A run holds an n x n affinity matrix and solves thousands of subsets: far beyond any simulation on one machine. */
const MAX_CLIENTS = 100_000;

/** What others call our splits. Silently ignored, the rows would be drawn anew from the training rows. */
const FOREIGN_SPLITS: Readonly<Record<string, Split>> = {
  training: "train",
  val: "validation",
  valid: "validation",
  dev: "validation",
  tests: "test",
  testing: "test",
};

function fail(where: string, message: string): KindredError {
  return new KindredError("invalid_data", `${where}: ${message}`, { where });
}

/**
 * All clients of a population.
 * @param population path of a .jsonl or .jsonl.gz file, or a list of folders
 * @throws {KindredError} `not_found`, `invalid_data` or `invalid_config`, naming `file:LINE`, field and value
 */
export async function loadPopulation(
  population: string | readonly PopulationEntry[],
  { seed, format = {} }: LoadOptions,
): Promise<Population> {
  const clients: ClientRows[] = [];
  const groups: (string | undefined)[] = [];
  const places = new Map<string, string>();
  const add = (client: ClientRows, group: string | undefined, where: string): void => {
    const before = places.get(client.name);
    if (before !== undefined) {
      throw fail(where, `client ${show(client.name)} appears a second time (first: ${before}); names must be unique`);
    }
    if (clients.length === MAX_CLIENTS) throw fail(where, `more than ${MAX_CLIENTS} clients`);
    places.set(client.name, where);
    clients.push(client);
    groups.push(group);
  };

  if (typeof population === "string") {
    const read = rowReader(format);
    for await (const { where, line } of clientLines(population)) {
      add(readClient(line, read, seed, where), groupOf(line, where), where);
    }
    if (clients.length === 0) throw fail(population, "holds no clients");
  } else {
    for (const [index, entry] of population.entries()) {
      const where = `population[${index}]`;
      const name = nameOf(entry.name, "name", where);
      const rows = await loadClient(entry.data, { name, seed, format: mergeFormats(format, entry.format) });
      add(rows, entry.group, where);
    }
    if (clients.length === 0) throw fail("population", "lists no clients");
  }
  const planted = plantedOf(clients, groups, typeof population === "string" ? population : "population");
  return planted === undefined ? { clients } : { clients, planted };
}

/**
 * One client's rows: a folder with train, validation and test files, a file of rows (all of them training rows), or a
 * population file, of which the line of that name is taken.
 * @throws {KindredError} as `loadPopulation`
 */
export async function loadClient(path: string, options: LoadOptions & { readonly name: string }): Promise<ClientRows> {
  const { name, seed, format = {} } = options;
  let folder: boolean;
  try {
    folder = (await stat(path)).isDirectory();
  } catch (cause) {
    throw new KindredError(
      "not_found",
      `${path}: no such folder or file (data of client ${show(name)})`,
      { path },
      cause,
    );
  }
  if (folder) {
    const [train, validation, test] = await Promise.all(SPLITS.map((split) => findSplit(path, split)));
    if (train === undefined) {
      throw fail(
        path,
        `has no train file; rows are looked for in ${ROW_FILE_ENDINGS.map((e) => `train${e}`).join(", ")}`,
      );
    }
    const rows = async (file: string | undefined) => (file === undefined ? undefined : await readAllRows(file, format));
    const given = {
      train: await readAllRows(train, format),
      validation: await rows(validation),
      test: await rows(test),
    };
    return { name, ...fillSplits(given, seed, name, path) };
  }
  if (await isPopulation(path)) {
    const read = rowReader(format);
    const names: string[] = [];
    for await (const { where, line } of clientLines(path)) {
      if (line.client === name) return readClient(line, read, seed, where);
      if (names.length < 5) names.push(show(line.client));
    }
    throw fail(path, `has no client ${show(name)}; it begins with ${names.join(", ")}`);
  }
  return { name, ...fillSplits({ train: await readAllRows(path, format) }, seed, name, path) };
}

/** A population is told from a file of rows by its first line. */
async function isPopulation(path: string): Promise<boolean> {
  if (!/\.jsonl(\.gz)?$/.test(path)) return false;
  for await (const { number, text } of readLines(path, MAX_CLIENT_BYTES)) {
    if (text.trim() === "") continue;
    const first = parseJson(text, `${path}:${number}`);
    return (
      typeof first === "object" && first !== null && Object.hasOwn(first, "client") && Object.hasOwn(first, "train")
    );
  }
  return false;
}

async function* clientLines(path: string): AsyncGenerator<{ where: string; line: Record<string, unknown> }> {
  if (!/\.jsonl(\.gz)?$/.test(path)) {
    throw fail(path, "a population is a .jsonl or .jsonl.gz file (one client a line), or a list of folders");
  }
  for await (const { number, text } of readLines(path, MAX_CLIENT_BYTES)) {
    if (text.trim() === "") continue;
    const where = `${path}:${number}`;
    const line = parseJson(text, where);
    if (typeof line !== "object" || line === null || Array.isArray(line)) {
      throw fail(where, `a client must be an object {"client", "train", ...}, got ${show(line)}`);
    }
    yield { where, line: line as Record<string, unknown> };
  }
}

function nameOf(value: unknown, field: string, where: string): string {
  if (typeof value !== "string" || value.trim() === "")
    throw fail(where, `${field} must be a name, got ${show(value)}`);
  if (value.length > MAX_NAME_LENGTH)
    throw fail(where, `${field} is longer than ${MAX_NAME_LENGTH} characters: ${show(value)}`);
  // Names are shown in terminals, where control characters act.
  if (/[\p{Cc}\p{Surrogate}]/u.test(value)) throw fail(where, `${field} ${show(value)} holds a control character`);
  return value;
}

function groupOf(line: Record<string, unknown>, where: string): string | undefined {
  const { group } = line;
  if (group === undefined || group === null) return undefined;
  return nameOf(typeof group === "number" ? String(group) : group, "group", where);
}

function readClient(line: Record<string, unknown>, read: RowReader<Example>, seed: number, where: string): ClientRows {
  if (!Object.hasOwn(line, "client")) throw fail(where, "has no field client with the client's name");
  const name = nameOf(line.client, "client", where);
  for (const [foreign, ours] of Object.entries(FOREIGN_SPLITS)) {
    if (Array.isArray(line[foreign]))
      throw fail(where, `client ${show(name)}: the split ${foreign} is called ${ours} here; rename it`);
  }
  const rowsOf = (split: Split): Example[] | undefined => {
    const rows = line[split];
    if (rows === undefined || rows === null) return undefined;
    if (!Array.isArray(rows))
      throw fail(where, `client ${show(name)}: ${split} must be a list of rows, got ${show(rows)}`);
    if (rows.length === 0) {
      throw fail(
        where,
        `client ${show(name)}: ${split} has no rows${split === "train" ? "" : "; leave it out to have it drawn by the seed"}`,
      );
    }
    return rows.map((row, index) => read(row, `${where}: client ${show(name)}: ${split}[${index}]`));
  };
  const train = rowsOf("train");
  if (train === undefined) throw fail(where, `client ${show(name)} has no field train with its rows`);
  return { name, ...fillSplits({ train, validation: rowsOf("validation"), test: rowsOf("test") }, seed, name, where) };
}

/** The file of a split in a folder, or undefined. */
async function findSplit(folder: string, split: Split): Promise<string | undefined> {
  const found: string[] = [];
  for (const ending of ROW_FILE_ENDINGS) {
    const path = join(folder, `${split}${ending}`);
    try {
      await access(path);
      found.push(path);
    } catch {
      // Absent: the next ending may be there.
    }
  }
  if (found.length > 1)
    throw fail(folder, `has ${found.length} files for the split ${split}: ${found.join(", ")}; keep one`);
  return found[0];
}

function plantedOf(
  clients: readonly ClientRows[],
  groups: readonly (string | undefined)[],
  where: string,
): PlantedGroups | undefined {
  const without = groups.indexOf(undefined);
  if (groups.every((group) => group === undefined)) return undefined;
  if (without >= 0) {
    throw fail(
      where,
      `client ${show(clients[without]?.name)} names no group, though others do; give every client one, or none`,
    );
  }
  const byName = new Map<string, string[]>();
  clients.forEach((client, index) => {
    const group = groups[index] as string;
    const members = byName.get(group);
    if (members === undefined) byName.set(group, [client.name]);
    else members.push(client.name);
  });
  return { names: [...byName.keys()], groups: [...byName.values()] };
}
