import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "csv-parse/sync";
import { affinityCsv, clientsCsv } from "../../../simulations/report/csv.js";
import { sampleReport } from "./sample.js";

test("every client's row reads back with exact numbers", () => {
  const report = sampleReport({ clients: 24, groups: 4, strays: 1 });
  const rows: Record<string, string>[] = parse(clientsCsv(report), { columns: true });
  assert.deepEqual(
    rows.map((row) => row.client),
    report.clients,
  );
  for (const row of rows) {
    const name = row.client ?? "";
    assert.ok(report.groups[Number(row.group) - 1]?.includes(name));
    assert.equal(Number(row.kindred_loss), report.methods.kindred?.clients[name]?.loss);
    assert.equal(Number(row.shared_accuracy), report.methods.shared?.clients[name]?.accuracy);
    assert.equal(Number(row["weight_group-1-boost-1"]), report.weights[name]?.[4]);
    assert.equal(row.test_rows, "24");
  }
});

test("the affinity reads back in the population's order", () => {
  const report = sampleReport({ clients: 8, groups: 2 });
  const [head, ...rows]: string[][] = parse(affinityCsv(report));
  assert.deepEqual(head, ["client", ...report.clients]);
  assert.deepEqual(
    rows.map((row) => row[0]),
    report.clients,
  );
  assert.deepEqual(
    rows.map((row) => row.slice(1).map(Number)),
    report.affinity,
  );
});

test("names with commas, quotes and line ends survive, and are never run as formulas", () => {
  const names = ['a,"b"\r\nc', " padded ", '=HYPERLINK("x")', "@sum", "-1", "__proto__"];
  const report = sampleReport({ clients: 6, groups: 2, names: (i) => names[i] ?? "" });
  const rows: string[][] = parse(clientsCsv(report), { from_line: 1 });
  assert.deepEqual(
    rows.slice(1).map((row) => row[0]),
    ['a,"b"\r\nc', " padded ", `'=HYPERLINK("x")`, "'@sum", "'-1", "__proto__"],
  );
  assert.equal(Number(rows[6]?.[6]), report.methods.base?.clients[names[5] ?? ""]?.loss);
});

test("a missing accuracy is an empty field", () => {
  const rows: Record<string, string>[] = parse(
    clientsCsv(sampleReport({ clients: 4, groups: 2, noChoices: true, planted: false })),
    { columns: true },
  );
  assert.ok(rows.every((row) => row.kindred_accuracy === "" && row.kindred_loss !== "" && !("planted" in row)));
});
