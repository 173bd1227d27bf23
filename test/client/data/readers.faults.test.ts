import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { gzipSync } from "node:zlib";
import { readAllRows } from "../../../client/data/readers.js";
import { KindredError } from "../../../shared/base/errors.js";
import { readLines } from "../../../shared/base/lines.js";
import type { RowFormat } from "../../../shared/config/format.js";

const folder = mkdtempSync(join(tmpdir(), "kindred-readers-"));
after(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

const texts = async (path: string, format?: RowFormat) =>
  (await readAllRows(path, format)).map((row) =>
    row.kind === "text" ? [row.where.slice(path.length), row.text] : row,
  );

const refuses = (path: string, place: string, message: RegExp, code = "invalid_data", format?: RowFormat) =>
  assert.rejects(readAllRows(path, format), (error: unknown) => {
    assert(error instanceof KindredError, String(error));
    assert.equal(error.code, code);
    assert(error.message.startsWith(`${path}${place}: `), error.message);
    assert.match(error.message.slice(path.length), message);
    assert(!error.message.includes("\n"));
    return true;
  });

test("rows are read from jsonl, with a byte order mark, CRLF, blank lines and no last line break", async () => {
  const path = file("a.jsonl", '\ufeff"one"\r\n\n  \n"tw\u00f6 \u2028"');
  assert.deepEqual(await texts(path), [
    [":1", "one"],
    [":4", "tw\u00f6 \u2028"],
  ]);
});

test("rows are read from gzip, a line longer than the reader's chunks included", async () => {
  const long = "x".repeat(1_000_000);
  const path = file("a.jsonl.gz", gzipSync(`"${long}"\n"b"\n`));
  assert.deepEqual(await texts(path), [
    [":1", long],
    [":2", "b"],
  ]);
});

test("rows are read from csv, with quotes, line breaks in fields and a byte order mark", async () => {
  const path = file("a.csv", '\ufefftext,label\n"a, ""b""\nc",1\n\nd,0\n');
  const rows = await readAllRows(path, { template: "{text}:", choices: { 0: " no", 1: " yes" } });
  assert.deepEqual(
    rows.map((row) => row.kind === "answer" && [row.where.slice(path.length), row.prompt, row.completion]),
    [
      [":2", 'a, "b"\nc:', " yes"],
      [":5", "d:", " no"],
    ],
  );
});

test("what Python writes for numbers that JSON does not have is refused by name", async () => {
  for (const name of ["NaN", "Infinity", "-Infinity"]) {
    await refuses(
      file("nan.jsonl", `"ok"\n{"text": "a", "score": ${name}}\n`),
      ":2",
      new RegExp(`holds ${name}, which`),
    );
  }
  await refuses(file("python.jsonl", '{"text": "NaN", "score": None}\n'), ":1", /is not JSON/);
});

test("archives that are named as text are refused by what they are", async () => {
  await refuses(file("a.jsonl", gzipSync('"a"\n')), ":1", /is a gzip archive; give its name the ending \.gz/);
  await refuses(
    file("sheet.csv", Buffer.from("PK\x03\x04\x14\0", "latin1")),
    ":1",
    /is a zip archive or a spreadsheet/,
  );
});

test("a line that is not JSON is refused by file and line, without the line's text", async () => {
  const path = file("bad.jsonl", '"a"\n{"secret": \n');
  await refuses(path, ":2", /not JSON/);
  await assert.rejects(readAllRows(path), (error: Error) => !error.message.includes("secret"));
});

test("hostile bytes are refused by file and line", async () => {
  await refuses(file("utf8.jsonl", Buffer.from([0x22, 0x61, 0x22, 10, 0x22, 0xff, 0x22, 10])), ":2", /UTF-8/);
  await refuses(file("nul.jsonl", '"a"\n"b\0"\n'), ":2", /NUL/);
  await refuses(file("utf16.jsonl", Buffer.from('\ufeff"a"\n', "utf16le")), ":1", /UTF-16/);
  await refuses(file("nul.csv", "a,b\n1,\0\n"), ":2", /NUL/);
  await refuses(file("utf8.csv", Buffer.from([0x61, 10, 0x62, 10, 0xc0, 10])), ":3", /UTF-8/);
});

test("truncated archives, and files that are not archives, are refused", async () => {
  const whole = gzipSync('"a"\n"b"\n');
  await refuses(file("cut.jsonl.gz", whole.subarray(0, whole.length - 9)), "", /is truncated/);
  await refuses(file("none.jsonl.gz", '"a"\n'), "", /not a valid gzip/);
});

test("invalid csv is refused by file and line", async () => {
  await refuses(file("width.csv", "a,b\n1,2\n3\n"), ":3", /not valid CSV/, "invalid_data", { completion: "{a}" });
  await refuses(file("quote.csv", 'a,b\n1,"2\n3\n'), ":2", /quote in this record is not closed/, "invalid_data", {
    completion: "{a}",
  });
  await refuses(file("twice.csv", "a,a\n1,2\n"), ":1", /column "a" twice/);
});

test("a line without an end is refused before it is held in memory", async () => {
  const path = file("long.jsonl", `"a"\n"${"x".repeat(700_000)}"\n`);
  await assert.rejects(async () => {
    for await (const _ of readLines(path, 1000));
  }, /long\.jsonl:2: is longer than 1000 bytes/);
});

test("files that are missing, folders, empty or of another kind are refused by name", async () => {
  await refuses(join(folder, "none.jsonl"), "", /no such file/, "not_found");
  await refuses(join(folder, "none"), "", /no such file or folder/, "not_found");
  await refuses(folder, "", /is a folder; name one file of rows in it \(\.jsonl, /);
  await refuses(file("empty.jsonl", "\n\n"), "", /holds no rows/);
  await refuses(file("head.csv", "a,b\n"), "", /holds no rows/);
  await refuses(file("rows.txt", "a"), "", /\.jsonl, \.jsonl\.gz, \.csv.* files only/);
});
