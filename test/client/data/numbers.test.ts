/** Numbers and labels of rows: what a file says is what a prompt and a choice of it have, in JSONL, CSV, populations and configurations. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { groupOf, readClient, readClientLines } from "../../../client/data/population-file.js";
import { readAllRows } from "../../../client/data/readers.js";
import { rowReader } from "../../../client/data/rows.js";
import { chatTemplateOf } from "../../../client/models/chat.js";
import { WrittenNumber } from "../../../shared/base/exact-json.js";

const folder = mkdtempSync(join(tmpdir(), "kindred-numbers-"));
after(() => rmSync(folder, { recursive: true }));

const file = (name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};

const format = {
  template: "{id} is",
  choices: { "9007199254740993": "large", "9007199254740992": "small" },
} as const;
const WRITTEN = ["1234567890123456789", "1.0", "1.50", "1E5", "-0", "1e400", "0.0000001", "12"];

const promptsOf = async (path: string) =>
  (await readAllRows(path, format)).map((row) => row.kind === "answer" && [row.prompt, row.completion]);

test("numbers stand in prompts as they are written, and labels beyond 2^53 are told apart, in JSONL and CSV alike", async () => {
  const wanted = WRITTEN.map((number) => [`${number} is`, "large"]);
  const rows = WRITTEN.map((number) => `{"id": ${number}, "label": 9007199254740993}\n`);
  const cells = WRITTEN.map((number) => `${number},9007199254740993\n`);
  assert.deepEqual(await promptsOf(file("a.jsonl", rows.join(""))), wanted);
  assert.deepEqual(await promptsOf(file("a.csv", `id,label\n${cells.join("")}`)), wanted);
});

test("a population's rows and groups keep their numbers", async () => {
  const train = WRITTEN.map((number) => `{"id": ${number}, "label": 9007199254740992}`);
  const line = `{"client": "a", "group": 12345678901234567890, "train": [${train.join(", ")}]}\n`;
  for await (const client of readClientLines(file("population.jsonl", line))) {
    assert.equal(groupOf(client), "12345678901234567890");
    const { train, validation, test } = readClient(client, rowReader(format), 0);
    const rows = [...train, ...validation, ...test];
    assert.deepEqual(
      new Set(rows.map((row) => row.kind === "answer" && `${row.prompt} ${row.completion}`)),
      new Set(WRITTEN.map((number) => `${number} is small`)),
    );
  }
});

test("a number as a label is compared as it is written, then by its value; a text only as it is written", () => {
  const read = (label: unknown, choices: Record<string, string>) => {
    const row = rowReader({ template: "{t}", choices })({ t: "x", label }, "f:1");
    return row.kind === "answer" ? row.completion : undefined;
  };
  assert.equal(read(1, { "1": "a", "2": "b" }), "a");
  assert.equal(read(new WrittenNumber("1.0"), { "1": "a", "2": "b" }), "a");
  assert.equal(read(1, { "1.0": "a", "2.0": "b" }), "a");
  assert.equal(read(new WrittenNumber("1.0"), { "1": "a", "1.0": "b" }), "b");
  assert.equal(read(9007199254740993n, { "9007199254740992": "a", "9007199254740993": "b" }), "b");
  const refused = (label: unknown, message: RegExp): void => {
    assert.throws(() => read(label, { "1": "a", no: "b" }), { code: "invalid_data", message });
  };
  refused(
    "1.0",
    /^f:1: label "1\.0" is not in the set .* \["1","no"\]; "1" differs in its writing alone: write both alike$/,
  );
  refused(" No", /"no" differs in its writing alone/);
  refused(
    new WrittenNumber("1e400"),
    /^f:1: label 1e400 is not in the set of labels that choices gives: \["1","no"\]$/,
  );
});

test("where the label's field is missing, the fields that are there are named", () => {
  const read = rowReader({ template: "{t}", choices: { a: "1", b: "2" } });
  assert.throws(() => read({ t: "x", sentiment: "a" }, "f:3"), {
    message:
      'f:3: no field "label" with the label; the row has "t", "sentiment"; name the label\'s field by the option label',
  });
});

test("a chat template gets numbers as Python's JSON reads them", async () => {
  const file = join(folder, "numbers.jsonl");
  const numbers = '{"n": 9007199254740993, "l": [0.10, 3, 1.0, 1E5, -0, 1e-7, 1e400, 12345678901234567890.5]}';
  // Some data sets hold the tools as a text of JSON.
  const forms = [`[${numbers}]`, JSON.stringify(`[${numbers}]`)];
  const rows = forms.map((tools) => `{"messages": [{"role": "assistant", "content": "a"}], "tools": ${tools}}\n`);
  writeFileSync(file, rows.join(""));
  const renderChat = chatTemplateOf("{{ tools[0] | tojson }}{{ messages[0].content }}{{ tools }}", {}, "t");
  const written = "[0.1, 3, 1.0, 100000.0, 0, 1e-07";
  const wanted =
    `{"n": 9007199254740993, "l": ${written}, Infinity, 1.2345678901234567e+19]}a` +
    `[{'n': 9007199254740993, 'l': ${written}, inf, 1.2345678901234567e+19]}]`;
  const read = await readAllRows(file);
  const texts = read.map((row) => row.kind === "chat" && renderChat(row, { addGenerationPrompt: false }).text);
  assert.deepEqual(texts, [wanted, wanted]);
});
