import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { KindredError } from "../../../shared/base/errors.js";
import { loadSimulationConfig } from "../../../shared/config/config.js";
import { loadPopulation } from "../../../simulations/population/load.js";
import { temporaryFolder } from "../../support/federation.js";

const { path: root, remove } = temporaryFolder();
after(remove);
const rows = (n: number, word = "row") => Array.from({ length: n }, (_, at) => `"${word} ${at}"\n`).join("");

/** A folder of files; a name that ends with a slash is an empty folder. */
function files(given: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(root, "f-"));
  for (const [name, text] of Object.entries(given)) {
    const path = join(folder, name);
    mkdirSync(name.endsWith("/") ? path : dirname(path), { recursive: true });
    if (!name.endsWith("/")) writeFileSync(path, text);
  }
  return folder;
}

/** Clients that a configuration's `population` finds, each with its number of rows. */
async function found(folder: string, population: string, more = ""): Promise<Record<string, number>> {
  mkdirSync(join(folder, "model"), { recursive: true });
  const config = join(folder, "run.yaml");
  writeFileSync(config, `model: model\npopulation: ${JSON.stringify(population)}\n${more}`);
  const plan = await loadSimulationConfig(config);
  const { clients } = await loadPopulation(plan.population, { seed: 0, format: plan.format });
  return Object.fromEntries(
    clients.map(({ name, train, validation, test }) => [name, train.length + validation.length + test.length]),
  );
}

const refuses = (work: Promise<unknown>, message: RegExp) =>
  assert.rejects(work, (error: unknown) => {
    assert(error instanceof KindredError, String(error));
    assert.equal(error.code, "invalid_data");
    assert.match(error.message, message);
    assert(!error.message.includes("\n"));
    return true;
  });

test("a folder's files of rows are clients by their names, and its folders with a train file too", async () => {
  const folder = files({
    "sites/north.jsonl": rows(4),
    "sites/east.csv": "text\na\nb\nc\n",
    "sites/west/train.jsonl": rows(5),
    "sites/west/test.jsonl": rows(2),
    "sites/README.md": "notes",
    "sites/LICENSE": "words",
    "sites/.cache/x.parquet": "no rows",
  });
  const all = { east: 3, north: 4, west: 7 };
  assert.deepEqual(await found(folder, "sites", 'completion: "{text}"'), all);
  assert.deepEqual(Object.keys(await found(folder, "sites", 'completion: "{text}"')), ["east", "north", "west"]);
});

test("a glob's matches are clients by what tells their paths apart", async () => {
  const folder = files({
    "a/one.jsonl": rows(3),
    "a/two.jsonl": rows(4),
    "b/one.jsonl": rows(5),
    "b/one.md": "notes",
    "c/one/train.jsonl": rows(6),
    "c/one/test.jsonl": rows(1),
  });
  assert.deepEqual(await found(folder, "a/*.jsonl"), { one: 3, two: 4 });
  assert.deepEqual(await found(folder, "{a,b}/one.jsonl"), { "a/one": 3, "b/one": 5 });
  assert.deepEqual(await found(folder, "*/one.jsonl"), { "a/one": 3, "b/one": 5 });
  assert.deepEqual(await found(folder, join(folder, "a/tw?.jsonl")), { two: 4 });
  // A split's file stands for its folder: its other splits are not read as rows of further clients.
  assert.deepEqual(await found(folder, "c/*/*.jsonl"), { one: 7 });
  assert.deepEqual(await found(folder, "c/*/"), { one: 7 });
});

test("a hundred files are a hundred clients, in the order of their names", async () => {
  const names = Array.from({ length: 100 }, (_, at) => `site-${at}`);
  const folder = files(Object.fromEntries(names.map((name) => [`data/${name}.jsonl`, rows(3, name)])));
  assert.deepEqual(Object.keys(await found(folder, "data/*.jsonl")), [...names].sort());
});

test("names of folders and files with the characters of patterns are taken literally", async () => {
  const folder = files({ "x[1]/data/a{b}.jsonl": rows(3), "x[1]/data/c*.jsonl": rows(4) });
  assert.deepEqual(await found(join(folder, "x[1]"), "data/*.jsonl"), { "a{b}": 3, "c*": 4 });
  const lone = files({ "po[p].jsonl": '{"client": "k", "train": ["a b", "c d", "e f"]}\n' });
  assert.deepEqual(await found(lone, "po[p].jsonl"), { k: 3 });
});

test("what is no client is refused by its path, with what to do", async () => {
  const folder = files({
    "empty/": "",
    "client/train.jsonl": rows(3),
    "mixed/a.jsonl": rows(3),
    "mixed/b.parquet": "PAR1",
    "bare/a.jsonl": rows(3),
    "bare/b/rows.jsonl": rows(3),
    "twice/a.jsonl": rows(3),
    "twice/a.csv": "text\na\nb\nc\n",
  });
  await refuses(found(folder, "empty"), /empty: holds no clients; expected files of rows \(\.jsonl, .*\) or folders/);
  await refuses(found(folder, "client"), /client: has train\.jsonl, so it is one client's folder/);
  await refuses(found(folder, "mixed"), /b\.parquet: is no file of rows .*data\/\*\.jsonl/);
  await refuses(found(folder, "mixed/*"), /b\.parquet: is no file of rows .*narrow the pattern/);
  await refuses(found(folder, "bare"), /bare\/b: is a folder without a train file/);
  await refuses(found(folder, "twice"), /twice: .*a\.csv and .*a\.jsonl would both be the client "a"; rename/);
  await refuses(found(folder, "none/*.jsonl"), /none\/\*\.jsonl: no file and no folder matches it/);
});
