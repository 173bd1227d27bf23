import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { loadClient } from "../../../client/data/load.js";
import { KindredError } from "../../../shared/base/errors.js";

const folder = mkdtempSync(join(tmpdir(), "kindred-load-"));
after(() => rmSync(folder, { recursive: true }));

const many = (n: number) => Array.from({ length: n }, (_, index) => `row ${index}`);
const lines = (rows: readonly unknown[]) => rows.map((row) => JSON.stringify(row)).join("\n");

function population(...clients: unknown[]): string {
  const path = join(mkdtempSync(join(folder, "p-")), "pop.jsonl");
  writeFileSync(path, lines(clients));
  return path;
}

function dataFolder(files: Record<string, string>): string {
  const path = mkdtempSync(join(folder, "d-"));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text);
  return path;
}

const refuses = (work: Promise<unknown>, message: RegExp, code = "invalid_data") =>
  assert.rejects(work, (error: unknown) => {
    assert(error instanceof KindredError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return true;
  });

test("one client's data may be a folder, a file of rows, or its line of a population file", async () => {
  const path = dataFolder({ "train.jsonl": lines(many(10)), "rows.csv": `t\n${many(10).join("\n")}\n` });
  const byFolder = await loadClient(path, { name: "n", seed: 1 });
  const byFile = await loadClient(join(path, "train.jsonl"), { name: "n", seed: 1 });
  assert.deepEqual(byFile, byFolder);
  const byCsv = await loadClient(join(path, "rows.csv"), { name: "n", seed: 1, format: { completion: "{t}" } });
  assert.equal(byCsv.train.length, 8);
  const file = population({ client: "m", train: many(3) }, { client: "n", train: many(10) });
  assert.equal((await loadClient(file, { name: "n", seed: 1 })).train.length, 8);
  await refuses(loadClient(file, { name: "o", seed: 1 }), /has no client "o"; it begins with "m", "n"/);
});

test("a table whose columns are called client and train is a file of rows, not a population", async () => {
  const path = join(dataFolder({ "rows.csv": `client,train\n${"x,y\n".repeat(5)}` }), "rows.csv");
  const rows = await loadClient(path, { name: "x", seed: 1, format: { template: "{client}", completion: " {train}" } });
  const [row] = rows.train;
  assert.deepEqual(row?.kind === "answer" && row.prompt + row.completion, "x y");
});
