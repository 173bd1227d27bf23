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

test("a table whose columns other characters separate is refused by them", async () => {
  for (const [text, mark] of [
    ["text;label\na;1\n", ";"],
    ["text;price\na;1,5\n", ";"],
    ["text\tlabel\na\t1\n", "\\\\t"],
    ["text|label\na|1\n", "\\|"],
  ] as const) {
    writeFileSync(path, text);
    const message = new RegExp(
      `table\\.csv:1: the header is one column, ".*"; columns are separated by commas, not by "${mark}"`,
    );
    await assert.rejects(all(readCsv(path)), { code: "invalid_data", message });
  }
  // A field of a table may hold them, and so may the name of one column among others.
  assert.deepEqual(await recordsOf("text\na;b\n"), [
    { line: 1, cells: ["text"] },
    { line: 2, cells: ["a;b"] },
  ]);
});

test("a quote in the wrong place is refused by its column, and none of the text is shown", async () => {
  await assert.rejects(recordsOf('a,b\nsecret,x "y" z\n'), {
    message:
      /table\.csv:2: is not valid CSV: column 2 has a quote within a field that has none around it; put quotes around/,
  });
  await assert.rejects(recordsOf('a,b\n"secret"y,1\n'), {
    message: /table\.csv:2: is not valid CSV: column 1 goes on after its closing quote; write a quote within/,
  });
});

test("an error after quoted line ends of two characters names the right line", async () => {
  await assert.rejects(recordsOf('a,b\r\n"1\r\n2","3\r\n4"\r\n5\r\n'), {
    message:
      /table\.csv:5: is not valid CSV: 1 fields, where the header has 2; a field with a comma in it needs quotes$/,
  });
  await assert.rejects(recordsOf('a,b\r"1\r2",3\r4,"5\r'), {
    message: /table\.csv:4: .*quote in this record is not closed/,
  });
});
