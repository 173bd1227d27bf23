/**
 * A population file holds one client per row: its name, its planted group where that is known, and lists of rows per split. A
 * client's own data may be such a file too (load.ts takes the client's row of it), so the format is known here.
 */
import { isObject } from "../../shared/base/json.js";
import { MAX_NAME_LENGTH } from "../../shared/base/limits.js";
import { MAX_CLIENT_BYTES } from "../../shared/base/lines.js";
import { invalidData as fail } from "./faults.js";
import { readValues } from "./readers.js";
import type { RowReader } from "./rows.js";
import { fillSplits } from "./splits.js";
import { type ClientRows, type Example, SPLITS, type Split } from "./types.js";
import { isNumber, show } from "./values.js";

/** One row of a population file, an object that is not checked further. */
export interface ClientLine {
  readonly where: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** One client's rows as code gives them, per split. A split that is absent is drawn from the training rows by the seed. */
export interface GivenRows {
  readonly train: readonly unknown[];
  readonly validation?: readonly unknown[];
  readonly test?: readonly unknown[];
}

/** Other names that are in use for our splits. Silently ignored, the rows would be drawn anew from the training rows. */
const OTHER_SPLIT_NAMES: Readonly<Record<string, Split>> = {
  training: "train",
  val: "validation",
  valid: "validation",
  dev: "validation",
  tests: "test",
  testing: "test",
};

/**
 * The clients of a population file, one at a time.
 * @throws {KindredError} `not_found`, or `invalid_data` naming `file:LINE`
 */
export async function* readClientLines(path: string): AsyncGenerator<ClientLine> {
  for await (const { where, value } of readValues(path, { maxRowBytes: MAX_CLIENT_BYTES })) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw fail(where, `a client must be an object {"client", "train", ...}, got ${show(value)}`);
    }
    yield { where, fields: value as Record<string, unknown> };
  }
}

/**
 * Whether a file is a population: its first row names a client and has that client's rows. In a table (CSV) such fields are
 * texts, and the file holds rows.
 */
export async function isPopulationFile(path: string): Promise<boolean> {
  for await (const { value } of readValues(path, { maxRowBytes: MAX_CLIENT_BYTES })) {
    if (typeof value !== "object" || value === null) return false;
    return (
      Object.hasOwn(value, "client") && Object.hasOwn(value, "train") && typeof Reflect.get(value, "train") !== "string"
    );
  }
  return false;
}

/** A name that may be shown. @throws {KindredError} `invalid_data` naming `where`, field and value */
export function checkName(value: unknown, field: string, where: string): string {
  if (typeof value !== "string" || value.trim() === "")
    throw fail(where, `${field} must be a name, got ${show(value)}`);
  if (value.length > MAX_NAME_LENGTH)
    throw fail(where, `${field} is longer than ${MAX_NAME_LENGTH} characters: ${show(value)}`);
  // Names are shown in terminals, where control characters act.
  if (/[\p{Cc}\p{Surrogate}]/u.test(value)) throw fail(where, `${field} ${show(value)} holds a control character`);
  return value;
}

/** The client's planted group; undefined where the row names no group. */
export function groupOf({ fields: { group }, where }: ClientLine): string | undefined {
  if (group === undefined || group === null) return undefined;
  return checkName(isNumber(group) ? String(group) : group, "group", where);
}

/** A list of rows under any other name would be left out. Other fields describe the client. */
function refuseOtherRows(fields: ClientLine["fields"], where: string, client: string): void {
  const known: readonly string[] = SPLITS;
  const other = Object.keys(fields).find((field) => {
    const value = fields[field];
    return !known.includes(field) && Array.isArray(value) && value.some(isObject);
  });
  if (other === undefined) return;
  throw fail(
    where,
    `client ${show(client)}: the rows of ${show(other)} are not read; a client has ${known.join(", ")}; rename or remove them`,
  );
}

/**
 * One client's rows.
 * @param seed draws missing splits
 * @throws {KindredError} `invalid_data` naming `file:LINE`, client and field
 */
export function readClient({ fields, where }: ClientLine, read: RowReader<Example>, seed: number): ClientRows {
  if (!Object.hasOwn(fields, "client")) throw fail(where, "has no field client with the client's name");
  const name = checkName(fields.client, "client", where);
  for (const [other, ours] of Object.entries(OTHER_SPLIT_NAMES)) {
    if (Array.isArray(fields[other]))
      throw fail(where, `client ${show(name)}: the split ${other} is called ${ours} here; rename it`);
  }
  refuseOtherRows(fields, where, name);
  const rowsOf = (split: Split): Example[] | undefined => {
    const rows = fields[split];
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
