import assert from "node:assert/strict";
import { test } from "node:test";
import { columnsOf, printable } from "../../../shared/base/terminal.js";
import { terminalReport } from "../../../simulations/report/terminal.js";
import type { MethodName } from "../../../simulations/report/types.js";
import { sampleReport } from "./sample.js";

test("without colour there are no escape sequences and no control characters except line ends", () => {
  const report = sampleReport({ clients: 24, groups: 4 });
  assert.doesNotMatch(terminalReport(report, { color: false }).replaceAll("\n", ""), /\p{Cc}/u);
  assert.match(terminalReport(report, { color: true }), /\p{Cc}\[1m/u);
});

test("a name cannot control the terminal", () => {
  const names = ["\u001b[2J\u001b]0;owned\u0007", "tab\tand\nline", "right\u202eleft", "c"];
  const report = sampleReport({ clients: 4, groups: 2, names: (i) => names[i] ?? "" });
  const text = terminalReport(
    { ...report, faults: [{ client: names[0] ?? "", stage: "train", message: "bad\u001b[31m" }] },
    { color: false },
  );
  assert.doesNotMatch(text.replaceAll("\n", ""), /[\p{Cc}\u202e]/u);
  assert.equal(printable("a\u001bb"), "a\ufffdb");
});

for (const width of [60, 80, 100, 140])
  for (const clients of [2, 8, 24, 120])
    for (const color of [true, false])
      test(`${clients} clients fit ${width} columns ${color ? "with" : "without"} colour`, () => {
        const text = terminalReport(sampleReport({ clients, groups: Math.min(clients, 5) }), { color, width });
        for (const line of text.split("\n").filter((one) => !/Kindred.*mean|^.{0,4}Affinity/.test(one)))
          assert.ok(columnsOf(line) <= width, `${columnsOf(line)} columns: ${line}`);
      });

test("colour does not change the text of the tables", () => {
  const report = sampleReport({ clients: 24, groups: 4 });
  const tables = (color: boolean) => {
    const text = terminalReport(report, { color, width: 100 }).replace(/\p{Cc}\[[0-9;]*m/gu, "");
    return text.slice(text.indexOf("Test accuracy"));
  };
  assert.equal(tables(true), tables(false));
});

test("up to forty clients are all listed; of more, the smallest and the largest gains", () => {
  const few = sampleReport({ clients: 40, groups: 4 });
  const text = terminalReport(few, { color: false });
  for (const name of few.clients) assert.match(text, new RegExp(`^${name} `, "m"));
  const many = sampleReport({ clients: 41, groups: 4 });
  const gainOf = (name: string) =>
    (many.methods.kindred?.clients[name]?.accuracy ?? 0) - (many.methods.shared?.clients[name]?.accuracy ?? 0);
  const sorted = [...many.clients].sort((a, b) => gainOf(a) - gainOf(b));
  const listed = terminalReport(many, { color: false }).match(/^client-\d+/gm) ?? [];
  assert.equal(listed.length, 16);
  assert.equal(gainOf(listed[0] ?? ""), gainOf(sorted[0] ?? ""));
  assert.equal(gainOf(listed[15] ?? ""), gainOf(sorted[40] ?? ""));
});

test("many clients fit a screen of any height: smallest and largest gains, and the file of all", () => {
  const report = sampleReport({ clients: 120, groups: 9, testRows: 8 });
  const gainOf = (name: string) =>
    (report.methods.kindred?.clients[name]?.accuracy ?? 0) - (report.methods.shared?.clients[name]?.accuracy ?? 0);
  const gains = report.clients.map(gainOf);
  const shown = new Map(
    [19, 24, 30, 60, 200].map((rows) => [
      rows,
      terminalReport(report, { color: false, width: 80, rows, file: "runs/x/clients.csv" }),
    ]),
  );
  for (const [rows, text] of shown) {
    const height = text.trimEnd().split("\n").length;
    assert.ok(height <= rows, `${height} of ${rows} rows`);
    const listed = text.match(/^client-\d+/gm) ?? [];
    assert.equal(listed.length % 2, 0);
    assert.equal(gainOf(listed[0]!), Math.min(...gains));
    assert.equal(gainOf(listed.at(-1)!), Math.max(...gains));
    assert.match(text, new RegExp(`^… ${120 - listed.length} clients between them; all: runs/x/clients\\.csv$`, "m"));
    assert.match(text, /^Kindred: mean accuracy/m);
  }
  const listed = [...shown.values()].map((text) => text.match(/^client-\d+/gm)?.length);
  assert.deepEqual(listed, [2, 8, 14, 16, 16]);
  assert.equal(shown.get(200), terminalReport(report, { color: false, width: 80, file: "runs/x/clients.csv" }));
  assert.doesNotMatch(shown.get(60)!, /Affinity/);
  const long = terminalReport(report, { color: false, width: 80, rows: 24, file: `${"deep/".repeat(20)}clients.csv` });
  assert.match(long, /^… 112 clients between them$/m);
});

test("groups are separated in the heatmap, and clients of one group look alike", () => {
  const report = sampleReport({ clients: 8, groups: 2, planted: false });
  const text = terminalReport(report, { color: false, width: 80 });
  const rows = text
    .split("\n")
    .map((line) => line.padEnd(19)) // ends of lines are trimmed
    .filter((line) => /^[12 ] [ ·░▒▓█]{17}/.test(line) && line.slice(0, 19).trim() !== "");
  assert.equal(rows.length, 8);
  const dark = (part: string) => [...part].filter((shade) => "▓█".includes(shade)).length;
  rows.forEach((row, r) => {
    const [first, second] = [row.slice(2, 10), row.slice(11, 19)];
    assert.ok(r < 4 ? dark(first) > dark(second) : dark(second) > dark(first), row);
  });
});

test("the mean and the cost of every method and the gain of Kindred are shown", () => {
  const report = sampleReport({ clients: 24, groups: 4 });
  const text = terminalReport(report, { color: false, width: 100 });
  const percent = (method: MethodName) => (100 * (report.methods[method]?.mean.accuracy ?? 0)).toFixed(1);
  for (const [name, method] of [
    ["Base", "base"],
    ["Shared", "shared"],
    ["Local", "local"],
    ["Full", "full"],
    ["Kindred", "kindred"],
  ] as const)
    assert.match(text, new RegExp(`^${name} +${percent(method)} %`, "m"));
  assert.match(text, /1620 +23\.10 +14\.40 +118\.6/);
  assert.match(text, new RegExp(`Kindred: mean accuracy ${percent("kindred")} %, \\+[\\d.]+ points over shared`));
  assert.match(text, /adjusted Rand index 1\.000/);
});

test("without choices losses are shown, and a gain is less loss", () => {
  const text = terminalReport(sampleReport({ clients: 8, groups: 2, noChoices: true }), { color: false });
  assert.match(text, /Kindred: mean loss 0\.\d{3}, −0\.\d{3} against shared/);
  assert.doesNotMatch(text, /NaN|null|undefined/);
});

test("wide characters and combining marks count as many columns as a terminal uses", () => {
  assert.equal(columnsOf("abc"), 3);
  assert.equal(columnsOf("日本"), 4);
  assert.equal(columnsOf("e\u0301"), 1);
  assert.equal(columnsOf("🙂"), 2);
});
