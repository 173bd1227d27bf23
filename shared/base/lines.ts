/**
 * Reads a text file line by line without holding it in memory: plain or gzip, UTF-8 only. Bytes are hostile: a line that is too long,
 * bytes that are not UTF-8, NULs and a truncated archive are errors that name file and line.
 */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import type { Readable } from "node:stream";
import { TextDecoder } from "node:util";
import { createGunzip } from "node:zlib";
import { asKindredError, KindredError } from "./errors.js";

export interface Line {
  /** From 1. */
  readonly number: number;
  /** Without the line break (LF or CRLF) and without a byte order mark. */
  readonly text: string;
}

/** A row is a few pages of text. A longer line is another kind of file, or an attack on memory. */
export const MAX_ROW_BYTES = 16 * 1024 * 1024;

/** A line of a population holds a whole client. V8's longest string is 512 MiB; JSON of this size still parses. */
export const MAX_CLIENT_BYTES = 256 * 1024 * 1024;

/** Rows are held in memory as text: a larger file would fail at the heap's limit, with a less clear error. */
const MAX_FILE_BYTES = 2 * 1024 * 1024 * 1024;

const invalid = (where: string, message: string, cause?: unknown) =>
  new KindredError("invalid_data", `${where}: ${message}`, { where }, cause);

/** The file's bytes, decompressed where its name ends in .gz. */
async function* readBytes(path: string): AsyncGenerator<Buffer> {
  let isFile: boolean;
  try {
    isFile = (await stat(path)).isFile();
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === "ENOENT";
    if (missing) throw new KindredError("not_found", `${path}: no such file`, { path }, cause);
    throw invalid(path, `cannot be read (${(cause as Error).message})`, cause);
  }
  if (!isFile) throw invalid(path, "is not a file; name a file of rows");
  const source = createReadStream(path, { highWaterMark: 1 << 18 });
  let stream: Readable = source;
  if (path.endsWith(".gz")) {
    const gunzip = createGunzip();
    source.on("error", (error) => gunzip.destroy(error));
    stream = source.pipe(gunzip);
  }
  let total = 0;
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      total += chunk.length;
      if (total > MAX_FILE_BYTES) {
        throw invalid(path, `holds more than ${MAX_FILE_BYTES} bytes of text; split it into several files`);
      }
      yield chunk;
    }
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === "Z_BUF_ERROR") throw invalid(path, "the gzip archive is truncated; copy it again", cause);
    if (code?.startsWith("Z_")) throw invalid(path, `is not a valid gzip archive (${(cause as Error).message})`, cause);
    if (code !== undefined && !(cause instanceof KindredError)) {
      throw invalid(path, `cannot be read (${(cause as Error).message})`, cause);
    }
    throw asKindredError(cause);
  } finally {
    stream.destroy();
    source.destroy();
  }
}

/** Decodes one line, and refuses bytes that are not text. */
function decode(bytes: Buffer, decoder: TextDecoder, path: string, number: number): string {
  if (number === 1 && bytes.length >= 2 && (bytes.readUInt16BE(0) === 0xfffe || bytes.readUInt16BE(0) === 0xfeff)) {
    throw invalid(`${path}:1`, "is UTF-16; save the file as UTF-8");
  }
  if (number === 1 && bytes[0] === 0x1f && bytes[1] === 0x8b) {
    throw invalid(`${path}:1`, "is a gzip archive; give its name the ending .gz");
  }
  if (number === 1 && bytes.subarray(0, 4).toString("latin1") === "PK\x03\x04") {
    throw invalid(`${path}:1`, "is a zip archive or a spreadsheet, not text; save it as CSV in UTF-8");
  }
  if (bytes.includes(0)) throw invalid(`${path}:${number}`, "holds a NUL byte; this is not a text file in UTF-8");
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw invalid(`${path}:${number}`, "is not valid UTF-8; save the file as UTF-8", cause);
  }
}

/**
 * The file's lines with their numbers, blank lines included.
 * @throws {KindredError} `not_found`, or `invalid_data` naming `file:LINE`
 */
export async function* readLines(path: string, maxLineBytes: number = MAX_ROW_BYTES): AsyncGenerator<Line> {
  // The default decoder also removes a byte order mark, which is valid at the beginning of the first line alone.
  const first = new TextDecoder("utf-8", { fatal: true });
  const rest = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let number = 1;
  let pieces: Buffer[] = [];
  let held = 0;
  const take = (end: Buffer): Line => {
    let bytes = pieces.length === 0 ? end : Buffer.concat([...pieces, end]);
    if (bytes.length > maxLineBytes) throw tooLong();
    if (bytes.at(-1) === 13) bytes = bytes.subarray(0, -1);
    const line = { number, text: decode(bytes, number === 1 ? first : rest, path, number) };
    pieces = [];
    held = 0;
    number++;
    return line;
  };
  const tooLong = () =>
    invalid(`${path}:${number}`, `is longer than ${maxLineBytes} bytes; is each row on its own line?`);
  for await (const chunk of readBytes(path)) {
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      yield take(chunk.subarray(start, end));
      start = end + 1;
    }
    if (start === chunk.length) continue;
    held += chunk.length - start;
    if (held > maxLineBytes) throw tooLong();
    pieces.push(Buffer.from(chunk.subarray(start)));
  }
  if (held > 0) yield take(Buffer.alloc(0));
}

/**
 * The file's text in pieces, without its byte order mark; line ends stay as they are.
 * @throws {KindredError} as `readLines`
 */
export async function* readText(path: string): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  try {
    for await (const chunk of readBytes(path)) {
      if (chunk.includes(0)) throw new Error("NUL");
      yield decoder.decode(chunk, { stream: true });
    }
    yield decoder.decode();
  } catch (cause) {
    if (cause instanceof KindredError) throw cause;
    // Read again by lines, which knows the wrong byte's line and says more.
    for await (const _ of readLines(path, MAX_FILE_BYTES));
    throw invalid(path, "is not valid UTF-8; save the file as UTF-8", cause);
  }
}
