/** CSV files of every kind of line end: cells come back as they were written, each record with the line on which it begins. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import { type CsvRecord, readCsv, readRecords } from "../../../shared/base/csv.js";

const folder = mkdtempSync(join(tmpdir(), "kindred-csv-"));
after(() => rmSync(folder, { recursive: true }));
const path = join(folder, "table.csv");

async function all<T>(values: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const value of values) list.push(value);
  return list;
}

async function recordsOf(text: string): Promise<CsvRecord[]> {
  writeFileSync(path, text);
  return await all(readRecords(path));
}

const END = fc.constantFrom("\n", "\r\n", "\r");
/** Letters, quotes, commas, and line ends within the cell. */
const CELL = fc.string({
  unit: fc.constantFrom("a", "é", '"', ",", "\n", "\r", "\r\n", " "),
  minLength: 1,
  maxLength: 6,
});
const quoted = (cell: string): string => `"${cell.replaceAll('"', '""')}"`;

test("cells and lines are those that were written, whatever ends the lines, also in turn and within quotes", async () => {
  const record = fc.record({ cells: fc.tuple(CELL, CELL), end: END, blank: fc.constantFrom("", "\n", "\r\n", "\n\n") });
  const file = fc.record({
    records: fc.array(record, { minLength: 1, maxLength: 6 }),
    mark: fc.boolean(),
    cut: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(file, async ({ records, mark, cut }) => {
      let text = "";
      const wanted = records.map(({ cells, end, blank }, at) => {
        const line = text.split(/\r\n|\r|\n/).length;
        // A blank line after a CR would make one line end of both.
        text +=
          cells.map(quoted).join(",") + (cut && at === records.length - 1 ? "" : end + (end === "\r" ? "" : blank));
        return { line, cells: [...cells] };
      });
      assert.deepEqual(await recordsOf(`${mark ? "\ufeff" : ""}${text}`), wanted);
    }),
    { numRuns: 200 },
  );
});

test("a record beyond the first piece of a large file has its line and its line ends", async () => {
  const rows = Array.from({ length: 60_000 }, (_, at) => `${at},"x\r\ny"\r\n`);
  const records = await recordsOf(`id,text\r\n${rows.join("")}`);
  assert.deepEqual(records.at(-1), { line: 2 + 2 * 59_999, cells: ["59999", "x\r\ny"] });
});

test("a header names every column, each by another name", async () => {
  const refused = async (text: string, message: RegExp): Promise<void> => {
    writeFileSync(path, text);
    await assert.rejects(all(readCsv(path)), { code: "invalid_data", message });
  };
  await refused(",text\n0,a\n", /table\.csv:1: column 1 of 2 has no name in the header; name it or remove it/);
  await refused("text, \ra,b\r", /table\.csv:1: column 2 of 2 has no name/);
  await refused("text,text\na,b\n", /table\.csv:1: the header names the column "text" twice/);
});

test("an error after quoted line ends of two characters names the right line", async () => {
  await assert.rejects(recordsOf('a,b\r\n"1\r\n2","3\r\n4"\r\n5\r\n'), {
    message: /table\.csv:5: is not valid CSV: Invalid Record Length: expect 2, got 1$/,
  });
  await assert.rejects(recordsOf('a,b\r"1\r2",3\r4,"5\r'), {
    message: /table\.csv:4: .*quote in this record is not closed/,
  });
});
