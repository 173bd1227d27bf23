/**
 * CSV (RFC 4180, a header line, UTF-8): reads a file, plain or gzip, row by row as objects of strings, and writes tables for
 * spreadsheets and data frames.
 */
import { Readable } from "node:stream";
import { type CsvError, type Info, parse } from "csv-parse";
import { KindredError } from "./errors.js";
import { MAX_ROW_BYTES, readText } from "./lines.js";

export interface CsvRow {
  /** Line on which the record begins, from 1. */
  readonly line: number;
  readonly fields: Readonly<Record<string, string>>;
}

/** What is wrong, in words that say what to do. All other messages of the parser end with the line as it counts. */
const PROBLEMS: Readonly<Record<string, (error: CsvError) => string>> = {
  CSV_QUOTE_NOT_CLOSED: () => "a quote in this record is not closed",
  INVALID_OPENING_QUOTE: ({ column }) =>
    `column ${Number(column) + 1} has a quote within a field that has none around it; put quotes around the field, and write each one within it twice`,
  CSV_INVALID_CLOSING_QUOTE: ({ column }) =>
    `column ${Number(column) + 1} goes on after its closing quote; write a quote within a quoted field twice`,
  CSV_RECORD_INCONSISTENT_FIELDS_LENGTH: ({ message }) => {
    const [, columns, fields] = /expect (\d+), got (\d+)/.exec(message) ?? [];
    return `${fields} fields, where the header has ${columns}; a field with a comma in it needs quotes`;
  },
  CSV_MAX_RECORD_SIZE: () => `a record of more than ${MAX_ROW_BYTES} bytes; is a quote not closed?`,
};

/** More columns than any table has: an affinity matrix of as many clients as a coordinator takes, and one for their names. */
const MAX_COLUMNS = 10_001;

export interface CsvRecord {
  /** Line on which the record begins, from 1. */
  readonly line: number;
  /** All records of a file have the same number of cells. */
  readonly cells: readonly string[];
}

/**
 * The file's rows after its header, by column.
 * @throws {KindredError} as `readRecords`, and for a column without a name or with the name of another
 */
export async function* readCsv(path: string): AsyncGenerator<CsvRow> {
  let header: string[] | undefined;
  for await (const { line, cells } of readRecords(path)) {
    if (header === undefined) header = checkHeader(cells, `${path}:${line}`);
    else yield { line, fields: Object.fromEntries(header.map((name, column) => [name, cells[column] as string])) };
  }
}

/**
 * The file's records, the header first. Lines may end in LF, CRLF or CR, also in turn; within quotes they stay as they are.
 * @throws {KindredError} `not_found`, or `invalid_data` naming `file:LINE`: bytes that are not text, an open quote, a
 * record with too many or too few fields
 */
export async function* readRecords(path: string): AsyncGenerator<CsvRecord> {
  // Decoded here: csv-parse would replace wrong bytes by U+FFFD.
  const source = Readable.from(readText(path));
  const parser = parse({
    info: true,
    skip_empty_lines: true,
    max_record_size: MAX_ROW_BYTES,
    record_delimiter: ["\r\n", "\n", "\r"],
  });
  source.on("error", (error) => parser.destroy(error));
  let last = 0;
  // The parser counts a CRLF within quotes as two lines.
  let tooMany = 0;
  try {
    for await (const { record, info } of source.pipe(parser) as AsyncIterable<{ record: string[]; info: Info }>) {
      // `lines` counts to the record's end, blank lines included; the record's own line ends lie within its fields.
      const line = info.lines - tooMany - count(record, /[\r\n]/g);
      tooMany += count(record, /\r\n/g);
      last = info.lines - tooMany;
      yield { line, cells: record };
    }
  } catch (cause) {
    if (cause instanceof KindredError) throw cause;
    const { code, message, lines } = cause as CsvError & { lines?: number };
    // An open quote runs to the end of the file; the useful location is the beginning of its record.
    const open = code === "CSV_QUOTE_NOT_CLOSED";
    const where = `${path}:${open || lines === undefined ? last + 1 : lines - tooMany}`;
    const reason = PROBLEMS[code]?.(cause as CsvError) ?? message.replace(/\s+/g, " ").replace(/ (at|on) line \d+/, "");
    throw new KindredError("invalid_data", `${where}: is not valid CSV: ${reason}`, { where }, cause);
  } finally {
    parser.destroy();
    source.destroy();
  }
}

function count(fields: readonly string[], pattern: RegExp): number {
  return fields.reduce((sum, field) => sum + (field.match(pattern)?.length ?? 0), 0);
}

function checkHeader(names: readonly string[], where: string): string[] {
  const fail = (message: string) => new KindredError("invalid_data", `${where}: ${message}`, { where });
  if (names.length > MAX_COLUMNS) throw fail(`the header has ${names.length} columns, more than ${MAX_COLUMNS}`);
  const trimmed = names.map((name) => name.trim());
  const [other] = names.length === 1 ? (/[;\t|]/.exec(names[0]!) ?? []) : [];
  if (other !== undefined) {
    throw fail(
      `the header is one column, ${JSON.stringify(names[0]!.slice(0, 100))}; columns are separated by commas, not by ${JSON.stringify(other)}`,
    );
  }
  const twice = trimmed.find((name, column) => trimmed.indexOf(name) !== column);
  const empty = trimmed.indexOf("");
  if (empty >= 0) {
    throw fail(
      `column ${empty + 1} of ${names.length} has no name in the header; name it or remove it (pandas: index=False)`,
    );
  }
  if (twice !== undefined) throw fail(`the header names the column ${JSON.stringify(twice)} twice; rename one`);
  return trimmed;
}

export type CsvValue = string | number | null | undefined;

/** The beginning of a text that a spreadsheet would run as a formula. */
const FORMULA = /^[=+\-@\t\r]/;

function cell(value: CsvValue): string {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return Number.isFinite(value) ? String(value) : "";
  const harmless = FORMULA.test(value) ? `'${value}` : value;
  return /[",\r\n]|^\s|\s$/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

/**
 * A table as text; the first row is the header. Numbers are written in full; a number that is not finite becomes an empty cell. Texts
 * are quoted where needed. A text that a spreadsheet would run as a formula gets a leading apostrophe (see `plainText`).
 */
export function csvText(rows: readonly (readonly CsvValue[])[]): string {
  return rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

/** A text without the apostrophe that `csvText` adds. */
export function plainText(written: string): string {
  return written.startsWith("'") && FORMULA.test(written.slice(1)) ? written.slice(1) : written;
}
