/** Readers of a user's own: each test defines one under an extension of its own, because a process keeps them. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { loadClient } from "../../../client/data/load.js";
import { defineReader, type RawRow, readAllRows, readQuestions, rowExtensions } from "../../../client/data/readers.js";
import { readLines } from "../../../shared/base/lines.js";
import { loadPopulation } from "../../../simulations/population/load.js";

const folder = mkdtempSync(join(tmpdir(), "kindred-define-reader-"));
after(() => rmSync(folder, { recursive: true }));

function file(name: string, content = ""): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

/** Defines a reader of one extension that yields fixed values. */
function defineFixed(extension: string, rows: readonly unknown[]): string {
  defineReader({
    name: extension.slice(1),
    extensions: [extension],
    async *read() {
      yield* rows as readonly RawRow[];
    },
  });
  return file(`rows${extension}`);
}

defineReader({
  name: "tsv",
  extensions: [".tsv", ".tsv.gz"],
  async *read(path, { maxRowBytes }) {
    for await (const { number, text } of readLines(path, maxRowBytes)) {
      const [prompt, completion] = text.split("\t");
      yield { line: number, value: { prompt, completion } };
    }
  },
});

test("files, a client's folder and a population's list are read with a reader of the user's own", async () => {
  const tsv = (from: number) => [0, 1, 2].map((i) => `question ${from + i}\tanswer ${from + i}\n`).join("");
  const path = file("train.tsv", tsv(0));
  file("test.tsv", tsv(3));
  assert.deepEqual((await readAllRows(path))[1], {
    kind: "answer",
    where: `${path}:2`,
    prompt: "question 1",
    completion: "answer 1",
  });
  assert.equal((await readQuestions(path))[2]?.completion, "answer 2");
  const { test: held } = await loadClient(folder, { name: "a", seed: 1 });
  assert.deepEqual(
    held.map((row) => row.kind === "answer" && row.prompt),
    ["question 3", "question 4", "question 5"],
  );
  const { clients } = await loadPopulation(
    [
      { name: "a", data: path },
      { name: "b", data: folder },
    ],
    { seed: 1 },
  );
  assert.deepEqual(
    clients.map(({ name, test: rows }) => [name, rows.length]),
    [
      ["a", 1],
      ["b", 3],
    ],
  );
});

test("a population file may have a format of the user's own", async () => {
  const path = defineFixed(".clients", [
    { line: 1, value: { client: "a", group: "x", train: ["1", "2", "3"] } },
    { line: 2, value: { client: "b", group: "y", train: ["4", "5", "6", "7"] } },
  ]);
  const { clients, planted } = await loadPopulation(path, { seed: 1 });
  assert.deepEqual(
    clients.map(({ name, train }) => [name, train.length]),
    [
      ["a", 1],
      ["b", 2],
    ],
  );
  assert.deepEqual(planted?.names, ["x", "y"]);
  assert.equal((await loadClient(path, { name: "b", seed: 1 })).train.length, 2);
});

test("the longest extension that fits decides", async () => {
  defineFixed(".long", [{ line: 1, value: "short" }]);
  const path = defineFixed(".very.long", [{ line: 1, value: "long" }]);
  const [row] = await readAllRows(path);
  assert.equal(row?.kind === "text" && row.text, "long");
});

test("what a reader yields is checked like any row", async () => {
  const circular: unknown[] = [];
  circular.push(circular);
  const cases: readonly (readonly [value: unknown, says: RegExp])[] = [
    [42, /:7: a row must be a string or an object, got 42$/],
    [7n, /:7: a row must be a string or an object, got 7$/],
    [circular, /:7: a row must be a string or an object, got a value of type object; write each row on a line/],
    [() => 1, /:7: a row must be a string or an object/],
    ["\ud800", /:7: the text holds half of a surrogate pair/],
    [{ prompt: "p", completion: Symbol("c") }, /:7: completion must be a string, got Symbol\(c\)$/],
    [
      Object.create({ prompt: "inherited", completion: "inherited" }),
      /:7: has neither prompt and completion.* such as '{text}' for a field/,
    ],
  ];
  for (const [at, [value, says]] of cases.entries()) {
    const path = defineFixed(`.case${at}`, [{ line: 7, value }]);
    await assert.rejects(readAllRows(path), { code: "invalid_data", message: says });
  }
  const labelled = defineFixed(".labelled", [{ line: 1, value: { text: "t", label: 1n } }]);
  const [row] = await readAllRows(labelled, { template: "{text}", choices: { 0: " no", 1: " yes" } });
  assert.equal(row?.kind === "answer" && row.completion, " yes");
});

test("a reader that fails, or says no line, is named with the file and the last line", async () => {
  defineReader({
    name: "broken",
    extensions: [".broken"],
    async *read(path) {
      if (readFileSync(path, "utf8") === "early") throw new Error("no header");
      yield { line: 3, value: "a" };
      throw new TypeError("bad\nrecord");
    },
  });
  const early = file("early.broken", "early");
  await assert.rejects(readAllRows(early), {
    code: "invalid_data",
    message: `${early}: the reader "broken": no header`,
  });
  const late = file("late.broken");
  await assert.rejects(readAllRows(late), {
    code: "invalid_data",
    message: `${late}:3: the reader "broken" after this line: bad record`,
  });
  const unplaced = [{ value: "a" }, { line: 0, value: "a" }, { line: 1.5, value: "a" }, null, "a"];
  for (const [at, row] of unplaced.entries()) {
    const path = defineFixed(`.unplaced${at}`, [{ line: 2, value: "a" }, row]);
    await assert.rejects(readAllRows(path), {
      code: "invalid_data",
      message: /:2: the reader .* each row must be \{line, value\}/,
    });
  }
});

test("an extension that has a reader is refused by name, and nothing of the refused reader is kept", () => {
  const read = async function* (): AsyncGenerator<RawRow> {};
  const before = rowExtensions();
  assert.throws(() => defineReader({ name: "mine", extensions: [".fresh", ".csv"], read }), {
    code: "name_taken",
    message: 'defineReader("mine").extensions: .csv is read by the reader "csv"; choose another extension',
  });
  for (const extension of ["tsv", "", ".", ".a b", "../x", 3 as unknown as string])
    assert.throws(() => defineReader({ name: "mine", extensions: [extension], read }), {
      code: "invalid_option",
      message: /extensions: must begin with a dot/,
    });
  assert.throws(() => defineReader({ name: "mine", extensions: [], read }), { code: "invalid_option" });
  assert.throws(() => defineReader({ name: "", extensions: [".x"], read }), { code: "invalid_option" });
  assert.throws(() => defineReader({ name: "mine", extensions: [".x"] } as never), { code: "invalid_option" });
  assert.deepEqual(rowExtensions(), before);
});
