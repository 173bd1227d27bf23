/**
 * The files between the stages, as docs/formats.md has them: matrices over clients and the sampled subsets as CSV. Other programs
 * may write them too, so their content is hostile until checked. This file knows nothing of how they are made or used.
 */
import { writeAtomically } from "../../shared/base/atomic.js";
import { type CsvValue, csvText, plainText, readRecords } from "../../shared/base/csv.js";
import { KindredError } from "../../shared/base/errors.js";
import { brief } from "../../shared/base/json.js";
import { MAX_CLIENTS } from "../../shared/base/limits.js";

/** Names in a folder that `kindred estimate` wrote. */
export const FILES = {
  affinity: "affinity.csv",
  errors: "standard-errors.csv",
  subsets: "subsets.csv",
  estimate: "estimate.json",
} as const;

/** More than any design of as many clients draws: 20,000 subsets of 100. */
const MAX_MEMBERS = 10_000_000;

export interface NamedMatrix {
  readonly clients: readonly string[];
  /** Row i, column j: of client i with client j. */
  readonly matrix: readonly Float64Array[];
}

export interface SampledSubset {
  /** Indices of clients. */
  readonly members: readonly number[];
  /** f_i(S), nats, of each member; over all its held-out examples, and over every second of them from the first and from the second. */
  readonly values: Float64Array;
  readonly halves: readonly [Float64Array, Float64Array];
}

const fail = (where: string, message: string): KindredError =>
  new KindredError("invalid_data", `${where}: ${message}`, { where });

/** A matrix over clients, their names in the first line and the first column. */
export async function writeMatrix(path: string, { clients, matrix }: NamedMatrix): Promise<void> {
  const rows = clients.map((name, i): CsvValue[] => [name, ...matrix[i]!]);
  await writeAtomically(path, csvText([["client", ...clients], ...rows]));
}

/**
 * Reads a matrix over clients. Columns may be in another order than rows; the rows' order is what is returned.
 * @throws {KindredError} `not_found`, or `invalid_data` naming `file:LINE` and the pair: a name twice, a row or column that is
 *   missing, a cell that is empty or no finite number
 */
export async function readMatrix(path: string): Promise<NamedMatrix> {
  let columns: Map<string, number> | undefined;
  const rows = new Map<string, { line: number; values: Float64Array }>();
  for await (const { line, cells } of readRecords(path)) {
    const where = `${path}:${line}`;
    const [name = "", ...rest] = cells.map((cell) => plainText(cell.trim()));
    if (columns === undefined) {
      columns = namedColumns(rest, where);
      continue;
    }
    const before = rows.get(name);
    if (before !== undefined)
      throw fail(where, `client ${brief(name)} has a second row (first: line ${before.line}); names must be unique`);
    if (!columns.has(name))
      throw fail(where, `client ${brief(name)} has a row and no column; the first line must name every client`);
    const names = [...columns.keys()];
    const values = Float64Array.from(rest, (text, at) => {
      const value = text === "" ? Number.NaN : Number(text);
      if (Number.isFinite(value)) return value;
      const got = text === "" ? "nothing" : brief(text);
      throw fail(where, `${brief(name)} with ${brief(names[at])} must be a finite number, got ${got}`);
    });
    rows.set(name, { line, values });
  }
  if (columns === undefined || rows.size === 0) throw fail(path, "holds no rows of clients");
  for (const name of columns.keys())
    if (!rows.has(name)) throw fail(path, `client ${brief(name)} has a column and no row`);
  const clients = [...rows.keys()];
  const order = clients.map((name) => columns.get(name)!);
  return {
    clients,
    matrix: clients.map((name) => Float64Array.from(order, (at) => rows.get(name)!.values[at]!)),
  };
}

/** Place of each name in the first line. */
function namedColumns(names: readonly string[], where: string): Map<string, number> {
  if (names.length === 0 || names.length > MAX_CLIENTS)
    throw fail(where, `the first line must name 1 to ${MAX_CLIENTS} clients, got ${names.length}`);
  const columns = new Map<string, number>();
  names.forEach((name, at) => {
    if (name === "") throw fail(where, `column ${at + 2} has no name`);
    if (columns.has(name)) throw fail(where, `client ${brief(name)} has two columns; names must be unique`);
    columns.set(name, at);
  });
  return columns;
}

const SUBSET_COLUMNS = ["subset", "client", "value", "first_half", "second_half"] as const;

/** The subsets with f_i(S) of their members, one line per member. */
export async function writeSubsets(
  path: string,
  clients: readonly string[],
  subsets: readonly SampledSubset[],
): Promise<void> {
  const lines = subsets.flatMap(({ members, values, halves }, k) =>
    members.map((i, s): CsvValue[] => [k, clients[i]!, values[s]!, halves[0][s]!, halves[1][s]!]),
  );
  await writeAtomically(path, csvText([SUBSET_COLUMNS, ...lines]));
}

/**
 * Reads subsets of these clients; further columns are ignored.
 * @throws {KindredError} `not_found`, or `invalid_data` naming `file:LINE`, column and value
 */
export async function readSubsets(path: string, clients: readonly string[]): Promise<SampledSubset[]> {
  const index = new Map(clients.map((name, i) => [name, i]));
  const subsets: { members: number[]; numbers: number[][] }[] = [];
  let place: number[] | undefined;
  let members = 0;
  for await (const { line, cells } of readRecords(path)) {
    const where = `${path}:${line}`;
    if (place === undefined) {
      place = SUBSET_COLUMNS.map((column) => cells.findIndex((cell) => cell.trim() === column));
      const missing = SUBSET_COLUMNS.find((_, c) => place![c]! < 0);
      if (missing !== undefined) throw fail(where, `has no column ${missing}; it needs ${SUBSET_COLUMNS.join(", ")}`);
      continue;
    }
    if (++members > MAX_MEMBERS) throw fail(where, `more than ${MAX_MEMBERS} members of subsets`);
    const [subset = "", client = "", ...numbers] = place.map((at) => cells[at]!.trim());
    const name = plainText(client);
    const i = index.get(name);
    if (i === undefined) throw fail(where, `client ${brief(name)} is not in the affinity matrix`);
    const k = Number(subset);
    // Ascending without gaps: a number far off must not make a list of its length.
    if (subset === "" || !(k === subsets.length || (k === subsets.length - 1 && k >= 0)))
      throw fail(
        where,
        `subset is ${brief(subset)}; subsets are numbered from 0, each in lines that follow each other`,
      );
    if (k === subsets.length) subsets.push({ members: [], numbers: [[], [], []] });
    const last = subsets[k]!;
    if (last.members.includes(i)) throw fail(where, `client ${brief(name)} is in subset ${k} twice`);
    last.members.push(i);
    numbers.forEach((text, c) => {
      const value = text === "" ? Number.NaN : Number(text);
      if (!Number.isFinite(value))
        throw fail(
          where,
          `${SUBSET_COLUMNS[c + 2]} must be a finite number, got ${text === "" ? "nothing" : brief(text)}`,
        );
      last.numbers[c]!.push(value);
    });
  }
  if (subsets.length === 0) throw fail(path, "holds no subsets");
  return subsets.map(({ members, numbers }) => {
    const [values, first, second] = numbers.map((list) => Float64Array.from(list));
    return { members, values: values!, halves: [first!, second!] };
  });
}
