import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { encodeClient } from "../../../client/data/encode.js";
import { KindredError } from "../../../shared/base/errors.js";
import { MAX_CLIENTS } from "../../../shared/base/limits.js";
import { loadPopulation } from "../../../simulations/population/load.js";
import { characterTokenizer, spell } from "../../client/data/tokenizers.js";

const folder = mkdtempSync(join(tmpdir(), "kindred-population-"));
after(() => rmSync(folder, { recursive: true }));

const many = (n: number) => Array.from({ length: n }, (_, index) => `row ${index}`);

function population(...lines: unknown[]): string {
  const path = join(mkdtempSync(join(folder, "p-")), "pop.jsonl");
  writeFileSync(path, lines.map((line) => JSON.stringify(line)).join("\n"));
  return path;
}

function dataFolder(files: Record<string, readonly unknown[] | string>): string {
  const path = mkdtempSync(join(folder, "d-"));
  for (const [name, rows] of Object.entries(files)) {
    writeFileSync(
      join(path, name),
      typeof rows === "string" ? rows : rows.map((row) => JSON.stringify(row)).join("\n"),
    );
  }
  return path;
}

const refuses = (work: Promise<unknown>, message: RegExp, code = "invalid_data") =>
  assert.rejects(work, (error: unknown) => {
    assert(error instanceof KindredError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, message);
    assert(!error.message.includes("\n"));
    return true;
  });

test("a population of more clients than a run may have is refused by the line that is too many", async () => {
  const row = JSON.stringify("a b");
  const lines = Array.from(
    { length: MAX_CLIENTS + 1 },
    (_, at) => `{"client":"c${at}","train":[${row}],"validation":[${row}],"test":[${row}]}`,
  );
  const path = join(mkdtempSync(join(folder, "p-")), "pop.jsonl");
  writeFileSync(path, lines.slice(0, -1).join("\n"));
  assert.equal((await loadPopulation(path, { seed: 0 })).clients.length, MAX_CLIENTS);
  writeFileSync(path, lines.join("\n"));
  await refuses(loadPopulation(path, { seed: 0 }), /pop\.jsonl:10001: too many clients; expected at most 10000/);
});

test("a population file gives its clients in order, missing splits drawn by the seed and the name", async () => {
  const a = { client: "a", play: "ignored", train: many(20) };
  const b = { client: "b", train: many(4), validation: ["v"], test: ["t", "u"] };
  const { clients, planted } = await loadPopulation(population(a, b), { seed: 5 });
  assert.deepEqual(
    clients.map(({ name, train, validation, test, drawn }) => [
      name,
      train.length,
      validation.length,
      test.length,
      drawn,
    ]),
    [
      ["a", 16, 2, 2, ["test", "validation"]],
      ["b", 4, 1, 2, []],
    ],
  );
  assert.equal(planted, undefined);
  const texts = (rows: readonly unknown[]) => rows.map((row) => (row as { text: string }).text);
  const swapped = await loadPopulation(population(b, a), { seed: 5 });
  assert.deepEqual(texts(swapped.clients[1]?.test ?? []), texts(clients[0]?.test ?? []));
});

test("planted groups are the partition by the field group", async () => {
  const line = (client: string, group: unknown) => ({ client, group, train: many(3) });
  const { planted } = await loadPopulation(population(line("a", "x"), line("b", 2), line("c", "x")), { seed: 0 });
  assert.deepEqual(planted, { names: ["x", "2"], groups: [["a", "c"], ["b"]] });
  await refuses(
    loadPopulation(population(line("a", "x"), { client: "b", train: many(3) }), { seed: 0 }),
    /client "b" names no group/,
  );
});

test("a list of folders gives one client per folder, with its own template before the population's", async () => {
  const rows = ["a", "b", "c", "d"].map((text, index) => ({ text, label: index % 2 }));
  const jsonl = dataFolder({ "train.jsonl": rows, "test.jsonl": rows.slice(0, 2) });
  const csv = dataFolder({
    "train.csv": "text,label\nx,0\ny,1\n",
    "validation.csv": "text,label\nz,1\n",
    "test.csv": "text,label\nw,0\n",
  });
  const { clients } = await loadPopulation(
    [
      { name: "one", data: jsonl, format: { template: "1 {text}" } },
      { name: "two", data: csv },
    ],
    { seed: 0, format: { template: "{text}?", choices: { 0: " no", 1: " yes" } } },
  );
  const [one, two] = await Promise.all(
    clients.map((client) => encodeClient(client, characterTokenizer(), { maxTokens: 100 })),
  );
  assert.deepEqual(
    one?.test.map((row) => spell(row.tokens)),
    ["^1 a no", "^1 b yes"],
  );
  assert.equal(one?.train.length, 3);
  assert.deepEqual(
    two?.validation.map((row) => spell(row.tokens)),
    ["^z? yes"],
  );
  assert.deepEqual(
    two?.test.map((row) => spell(row.tokens)),
    ["^w? no"],
  );
});

test("what is wrong with a population is named by file and line", async () => {
  const load = (...lines: unknown[]) => loadPopulation(population(...lines), { seed: 0 });
  const ok = { client: "ok", train: many(3) };
  await refuses(load(), /pop\.jsonl: holds no clients/);
  await refuses(load(ok, ok), /pop\.jsonl:2: client "ok" appears a second time \(first: .*pop\.jsonl:1\)/);
  await refuses(load(ok, "text"), /pop\.jsonl:2: a client must be an object/);
  await refuses(load({ train: many(3) }), /pop\.jsonl:1: has no field client/);
  await refuses(load({ client: "", train: many(3) }), /client must be a name, got ""/);
  await refuses(load({ client: "a\u001b[2J", train: many(3) }), /control character/);
  await refuses(load({ client: "a" }), /client "a" has no field train/);
  await refuses(load({ client: "a", train: [] }), /client "a": train has no rows/);
  await refuses(load({ client: "a", train: "x" }), /train must be a list of rows, got "x"/);
  await refuses(load({ ...ok, test: [] }), /test has no rows; leave it out/);
  await refuses(load({ ...ok, val: ["a"] }), /the split val is called validation here/);
  await refuses(
    load({ ...ok, holdout: [{ prompt: "a", completion: "b" }] }),
    /the rows of "holdout" are not read; a client has train, validation, test; rename or remove them/,
  );
  await refuses(
    load({ client: "a", train: many(2) }),
    /pop\.jsonl:1: client "a" has 2 rows and no test and no validation/,
  );
  await refuses(load(ok, { client: "a", train: ["a", "b", 3] }), /pop\.jsonl:2: client "a": train\[2\]: a row must be/);
});

test("what is wrong with a list of folders is named by folder", async () => {
  const good = dataFolder({ "train.jsonl": many(3) });
  await refuses(loadPopulation([], { seed: 0 }), /lists no clients/);
  await refuses(
    loadPopulation(
      [
        { name: "a", data: good },
        { name: "a", data: good },
      ],
      { seed: 0 },
    ),
    /population\[1\]: client "a" appears a second time/,
  );
  await refuses(
    loadPopulation([{ name: "a", data: join(folder, "none") }], { seed: 0 }),
    /no such folder/,
    "not_found",
  );
  await refuses(
    loadPopulation([{ name: "a", data: dataFolder({ "test.jsonl": many(3) }) }], { seed: 0 }),
    /has no train file/,
  );
  const both = dataFolder({ "train.jsonl": many(3), "train.csv": "a\n1\n" });
  await refuses(loadPopulation([{ name: "a", data: both }], { seed: 0 }), /has 2 files for the split train/);
  const empty = dataFolder({ "train.jsonl": many(3), "test.jsonl": "" });
  await refuses(loadPopulation([{ name: "a", data: empty }], { seed: 0 }), /test\.jsonl: holds no rows/);
  await refuses(loadPopulation(join(folder, "none.jsonl"), { seed: 0 }), /no such file/, "not_found");
  await refuses(loadPopulation(join(good, "train.jsonl"), { seed: 0 }), /train\.jsonl:1: a client must be an object/);
  mkdirSync(join(folder, "x.jsonl"));
  await refuses(loadPopulation(join(folder, "x.jsonl"), { seed: 0 }), /is not a file/);
});
