/**
 * Reads files of rows: .jsonl, .csv, either packed by gzip. One example a row, in the file's order. Knows files; what a
 * row may be is said in rows.ts.
 */

import { readCsv } from "../../shared/base/csv.js";
import { KindredError } from "../../shared/base/errors.js";
import { readLines } from "../../shared/base/lines.js";
import type { RowFormat } from "../../shared/config/format.js";
import { questionReader, type RowReader, rowReader } from "./rows.js";
import type { Example, Question } from "./types.js";

/** Endings of files of rows, in the order in which a folder is searched for them. */
export const ROW_FILE_ENDINGS = [".jsonl", ".jsonl.gz", ".csv", ".csv.gz"] as const;

/** JSON of one line. @throws {KindredError} `invalid_data` naming `where`; the message quotes none of the line's text */
export function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    const at = /position \d+|end of JSON input/.exec((cause as Error).message)?.[0];
    throw new KindredError(
      "invalid_data",
      `${where}: is not JSON${at ? ` (${at})` : ""}; each line must be one JSON value`,
      { where },
      cause,
    );
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
  if (/\.csv(\.gz)?$/.test(path)) {
    for await (const { line, fields } of readCsv(path)) yield read(fields, `${path}:${line}`);
  } else if (/\.jsonl(\.gz)?$/.test(path)) {
    for await (const { number, text } of readLines(path)) {
      const where = `${path}:${number}`;
      if (text.trim() !== "") yield read(parseJson(text, where), where);
    }
  } else {
    throw new KindredError("invalid_data", `${path}: rows are read from ${ROW_FILE_ENDINGS.join(", ")} files only`, {
      path,
    });
  }
}

/** All rows of a file. @throws {KindredError} as `readRows`, and where the file has none */
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
