/**
 * All clients of a population and their rows: from a population file (one client per row), a folder or a glob of clients' files, or
 * a list of them. Rows are read and checked at once, so that a mistake in the last client's data is known before the first client is
 * trained.
 */

import { invalidData as fail } from "../../client/data/faults.js";
import { type LoadOptions, loadClient } from "../../client/data/load.js";
import { checkName, type GivenRows, groupOf, readClient, readClientLines } from "../../client/data/population-file.js";
import { rowReader } from "../../client/data/rows.js";
import type { ClientRows } from "../../client/data/types.js";
import { show } from "../../client/data/values.js";
import { MAX_CLIENTS } from "../../shared/base/limits.js";
import { mergeFormats, type RowFormat } from "../../shared/config/format.js";
import { findClients } from "./find.js";

/** One client of a list. Its format's fields take the place of the population's. */
export interface PopulationEntry {
  readonly name: string;
  /** Folder or file of rows, absolute or relative to the working directory. */
  readonly data: string;
  /** The planted group, where it is known. */
  readonly group?: string | undefined;
  readonly format?: RowFormat | undefined;
}

/** One client as code gives it. Each row has the form of a row of a file. */
export interface ClientData extends GivenRows {
  readonly client: string;
  /** The planted group, where it is known. */
  readonly group?: string;
}

export interface PlantedGroups {
  /** The names that the population gives them, in order of appearance. */
  readonly names: readonly string[];
  /** Clients of each: a partition. */
  readonly groups: readonly (readonly string[])[];
}

export interface Population {
  /** In the population's order; names are unique. */
  readonly clients: readonly ClientRows[];
  /** Present where every client names its group. */
  readonly planted?: PlantedGroups;
}

/** Clients as they are read, each name once. */
class Members {
  readonly clients: ClientRows[] = [];
  readonly groups: (string | undefined)[] = [];
  private readonly places = new Map<string, string>();

  add(client: ClientRows, group: string | undefined, where: string): void {
    const before = this.places.get(client.name);
    if (before !== undefined) {
      throw fail(where, `client ${show(client.name)} appears a second time (first: ${before}); names must be unique`);
    }
    if (this.clients.length === MAX_CLIENTS) {
      throw fail(where, `too many clients; expected at most ${MAX_CLIENTS}; divide the population into several runs`);
    }
    this.places.set(client.name, where);
    this.clients.push(client);
    this.groups.push(group);
  }

  population(where: string): Population {
    const planted = plantedOf(this.clients, this.groups, where);
    return planted === undefined ? { clients: this.clients } : { clients: this.clients, planted };
  }
}

/**
 * All clients of a population.
 * @param population path of a population file, a folder or a glob of folders and files of rows, or a list of them
 * @throws {KindredError} `not_found`, `invalid_data` or `invalid_config`, naming `file:LINE`, field and value
 */
export async function loadPopulation(
  population: string | readonly PopulationEntry[],
  { seed, format = {} }: LoadOptions,
): Promise<Population> {
  const listed: readonly PopulationEntry[] | undefined =
    typeof population === "string" ? await findClients(population) : population;
  if (listed === undefined) return await loadFile(population as string, { seed, format });
  const members = new Members();
  for (const [index, entry] of listed.entries()) {
    const where = typeof population === "string" ? entry.data : `population[${index}]`;
    const name = checkName(entry.name, "name", where);
    const rows = await loadClient(entry.data, { name, seed, format: mergeFormats(format, entry.format) });
    members.add(rows, entry.group, where);
  }
  if (members.clients.length === 0) throw fail("population", "lists no clients");
  return members.population(typeof population === "string" ? population : "population");
}

/** The clients of a population file. */
async function loadFile(path: string, { seed, format }: LoadOptions): Promise<Population> {
  const members = new Members();
  const read = rowReader(format);
  for await (const line of readClientLines(path)) {
    members.add(readClient(line, read, seed), groupOf(line), line.where);
  }
  if (members.clients.length === 0) throw fail(path, "holds no clients");
  return members.population(path);
}

/** A population given as rows. @throws {KindredError} `invalid_data` naming client, split and row */
export function populationOf(given: readonly ClientData[], { seed, format = {} }: LoadOptions): Population {
  const members = new Members();
  const read = rowReader(format);
  for (const [index, client] of given.entries()) {
    const line = { where: `population[${index}]`, fields: client as unknown as Readonly<Record<string, unknown>> };
    members.add(readClient(line, read, seed), groupOf(line), line.where);
  }
  if (members.clients.length === 0) throw fail("population", "holds no clients; give at least one");
  return members.population("population");
}

function plantedOf(
  clients: readonly ClientRows[],
  groups: readonly (string | undefined)[],
  where: string,
): PlantedGroups | undefined {
  const without = groups.indexOf(undefined);
  if (groups.every((group) => group === undefined)) return undefined;
  if (without >= 0) {
    const name = show(clients[without]?.name);
    throw fail(where, `client ${name} names no group, though others do; give a group to every client or to none`);
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
