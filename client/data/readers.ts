/**
 * Reads files of rows. A `Reader` knows one format: .jsonl and .csv, plain or gzip, are two of them, and `defineReader` adds a
 * user's own. A reader gives values and their lines; rows.ts checks the values, whichever reader gave them.
 */
import { stat } from "node:fs/promises";
import { readCsv } from "../../shared/base/csv.js";
import { asKindredError, KindredError } from "../../shared/base/errors.js";
import { parseExactJson } from "../../shared/base/exact-json.js";
import { MAX_ROW_BYTES, readLines } from "../../shared/base/lines.js";
import type { RowFormat } from "../../shared/config/format.js";
import { questionReader, type RowReader, rowReader } from "./rows.js";
import type { Example, Question } from "./types.js";
import { show } from "./values.js";

/** A value that a file holds, not yet checked. */
export interface RawRow {
  /** Line on which it begins, from 1; the number of the record in a format without lines. */
  readonly line: number;
  /** A text, or an object whose fields are the row's. */
  readonly value: unknown;
}

export interface ReadLimits {
  /** Bytes that one row may take. A reader refuses a longer row before it holds the whole row. */
  readonly maxRowBytes: number;
}

/** A format of files of rows. */
export interface Reader {
  /** For messages: "jsonl". */
  readonly name: string;
  /** Ends of the names of its files, each with its dot: ".jsonl", ".jsonl.gz". Letter case counts. */
  readonly extensions: readonly string[];
  /**
   * The file's rows in its order, one at a time. Blank lines are left out.
   * @throws {KindredError} `not_found`, or `invalid_data` that begins with `file:LINE`. Any other error becomes `invalid_data`
   *   with the file and the last line that was read.
   */
  read(path: string, limits: ReadLimits): AsyncIterable<RawRow>;
}

/** What Python's json writes for numbers that JSON does not have. */
const NOT_JSON = ["NaN", "Infinity", "-Infinity"];

/** JSON of one line. @throws {KindredError} `invalid_data` naming `where`; the message quotes none of the line's text */
function parseJson(text: string, where: string): unknown {
  try {
    return parseExactJson(text);
  } catch (cause) {
    if (cause instanceof RangeError)
      throw new KindredError("invalid_data", `${where}: is nested too deeply`, { where }, cause);
    const { message } = cause as Error;
    const first = message.startsWith("No number after minus") ? "-" : /^Unexpected token '([NI])'/.exec(message)?.[1];
    const name = NOT_JSON.find(
      (each) => each[0] === first && new RegExp(`(^|[\\s:,[])${each}([\\s,\\]}]|$)`).test(text),
    );
    if (name !== undefined)
      throw new KindredError(
        "invalid_data",
        `${where}: holds ${name}, which is no value of JSON; write it as a text or leave it out`,
        { where },
        cause,
      );
    const at = /position \d+|end of JSON input/.exec(message)?.[0];
    throw new KindredError(
      "invalid_data",
      `${where}: is not JSON${at ? ` (${at})` : ""}; each line must be one JSON value`,
      { where },
      cause,
    );
  }
}

/** One JSON value per line. */
const JSONL: Reader = {
  name: "jsonl",
  extensions: [".jsonl", ".jsonl.gz"],
  async *read(path, { maxRowBytes }) {
    for await (const { number, text } of readLines(path, maxRowBytes)) {
      if (text.trim() !== "") yield { line: number, value: parseJson(text, `${path}:${number}`) };
    }
  },
};

/** A header line, then one row per record, its fields texts. */
const CSV: Reader = {
  name: "csv",
  extensions: [".csv", ".csv.gz"],
  async *read(path) {
    for await (const { line, fields } of readCsv(path)) yield { line, value: fields };
  },
};

/** Extension -> its reader, in the order in which a folder is searched. */
const READERS = new Map<string, Reader>();

/**
 * Adds a format, for this process: files and folders of rows may then have its extensions wherever rows are read.
 * @throws {KindredError} `name_taken` for an extension that has a reader; `invalid_option` for one that is no extension
 */
export function defineReader(reader: Reader): void {
  const { name, extensions } = reader;
  if (typeof name !== "string" || name === "") {
    throw new KindredError("invalid_option", `defineReader.name: must be a text, got ${show(name)}`);
  }
  const field = `defineReader(${show(name)})`;
  if (typeof reader.read !== "function") {
    throw new KindredError("invalid_option", `${field}.read: must be a function, got ${show(reader.read)}`);
  }
  if (!Array.isArray(extensions) || extensions.length === 0) {
    throw new KindredError("invalid_option", `${field}.extensions: must be a list such as [".tsv"]`);
  }
  for (const extension of extensions as readonly unknown[]) {
    if (typeof extension !== "string" || !/^(\.[\w-]+)+$/.test(extension)) {
      throw new KindredError(
        "invalid_option",
        `${field}.extensions: must begin with a dot, then letters and digits, as in ".tsv"; got ${show(extension)}`,
      );
    }
    const owner = READERS.get(extension);
    if (owner !== undefined) {
      throw new KindredError(
        "name_taken",
        `${field}.extensions: ${extension} is read by the reader ${show(owner.name)}; choose another extension`,
        { extension },
      );
    }
  }
  for (const extension of extensions) READERS.set(extension, reader);
}

defineReader(JSONL);
defineReader(CSV);

/** Extensions of files of rows, in the order in which a folder is searched for them. */
export function rowExtensions(): string[] {
  return [...READERS.keys()];
}

/** The longest extension of a reader that the file's name ends with; empty where there is none. */
function extensionOf(path: string): string {
  const extensions = rowExtensions().filter((extension) => path.endsWith(extension));
  return extensions.reduce((a, b) => (b.length > a.length ? b : a), "");
}

/** A path without the extension of its reader; undefined where it has none. */
export function rowsStem(path: string): string | undefined {
  const extension = extensionOf(path);
  return extension === "" ? undefined : path.slice(0, -extension.length);
}

/** Why a path without the extension of a reader is no file of rows. */
async function unreadable(path: string): Promise<KindredError> {
  const info = await stat(path).catch(() => undefined);
  const extensions = rowExtensions().join(", ");
  if (info === undefined) return new KindredError("not_found", `${path}: no such file or folder`, { path });
  const message = info.isDirectory()
    ? `${path}: is a folder; name one file of rows in it (${extensions})`
    : `${path}: rows are read from ${extensions} files only`;
  return new KindredError("invalid_data", message, { path });
}

/**
 * A file's values with their places, not yet checked: the way to a file for rows and for populations.
 * @throws {KindredError} `not_found`, or `invalid_data` naming the file and, where there is one, the line
 */
export async function* readValues(
  path: string,
  limits: ReadLimits = { maxRowBytes: MAX_ROW_BYTES },
): AsyncGenerator<{ readonly where: string; readonly value: unknown }> {
  const reader = READERS.get(extensionOf(path));
  if (reader === undefined) throw await unreadable(path);
  let last = 0;
  const failed = (message: string, cause?: unknown): KindredError => {
    const where = last === 0 ? path : `${path}:${last}`;
    const after = last === 0 ? "" : " after this line";
    return new KindredError("invalid_data", `${where}: the reader ${show(reader.name)}${after}: ${message}`, {}, cause);
  };
  try {
    for await (const row of reader.read(path, limits)) {
      if (typeof row !== "object" || row === null || !Number.isSafeInteger(row.line) || row.line < 1) {
        throw failed(`each row must be {line, value} with a line from 1, got ${show(row)}`);
      }
      last = row.line;
      yield { where: `${path}:${last}`, value: row.value };
    }
  } catch (cause) {
    if (cause instanceof KindredError) throw cause;
    throw failed(asKindredError(cause).message.replace(/\s+/g, " "), cause);
  }
}

/**
 * The rows of a file, one at a time.
 * @throws {KindredError} `not_found`, or `invalid_data` naming `file:LINE`
 */
export function readRows(path: string, format: RowFormat = {}): AsyncGenerator<Example> {
  return readWith(path, rowReader(format));
}

async function* readWith<T>(path: string, read: RowReader<T>): AsyncGenerator<T> {
  for await (const { where, value } of readValues(path)) yield read(value, where);
}

/** All rows of a file. @throws {KindredError} as `readRows`, and where the file has no rows */
export function readAllRows(path: string, format: RowFormat = {}): Promise<Example[]> {
  return all(path, rowReader(format));
}

/** All rows of a file as questions: their answers may be missing. @throws {KindredError} as `readAllRows` */
export function readQuestions(path: string, format: RowFormat = {}): Promise<Question[]> {
  return all(path, questionReader(format));
}

async function all<T>(path: string, read: RowReader<T>): Promise<T[]> {
  const rows: T[] = [];
  for await (const row of readWith(path, read)) rows.push(row);
  if (rows.length === 0) throw new KindredError("invalid_data", `${path}: holds no rows`, { path });
  return rows;
}
