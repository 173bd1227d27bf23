import assert from "node:assert/strict";
import { test } from "node:test";
import { factsOf, notesOf } from "../../../client/data/facts.js";
import type { ClientRows, EncodedDataset, EncodedRow, Example } from "../../../client/data/types.js";

const answer = (prompt: string, completion: string, choices?: readonly string[]): Example => ({
  kind: "answer",
  where: "rows.jsonl:1",
  prompt,
  completion,
  ...(choices === undefined ? {} : { choices }),
});

/** A token per character of prompt and completion; the completion's are scored. @param most tokens that remain, from the right */
function encoded(row: Example, most: number): EncodedRow {
  assert(row.kind === "answer");
  const text = `${row.prompt}${row.completion}`;
  const lost = Math.max(0, text.length - most);
  const tokens = Int32Array.from(text.slice(lost), (character) => character.charCodeAt(0));
  const scored = Int32Array.from(row.completion, (_, at) => row.prompt.length - lost + at);
  return { tokens, scored };
}

const encode = (rows: ClientRows, most: number): EncodedDataset => ({
  train: rows.train.map((row) => encoded(row, most)),
  validation: rows.validation.map((row) => encoded(row, most)),
  test: rows.test.map((row) => encoded(row, most)),
});

function facts(splits: Omit<ClientRows, "name" | "drawn">, most = 1000) {
  const rows: ClientRows = { name: "a", drawn: ["test"], ...splits };
  return factsOf(rows, encode(rows, most), encode(rows, Number.MAX_SAFE_INTEGER));
}

const AB = ["A", "B"];

test("rows, tokens, scored tokens and truncation are counted per split", () => {
  const { splits, drawn } = facts(
    {
      train: [answer("12345", "A", AB), answer("123", "B", AB)],
      validation: [answer("1", "A", AB)],
      test: [answer("1234567", "BB")],
    },
    5,
  );
  assert.deepEqual(splits, {
    train: { rows: 2, tokens: 9, scored: 2, longest: 6, truncated: { rows: 1, tokens: 1 } },
    validation: { rows: 1, tokens: 2, scored: 1, longest: 2, truncated: { rows: 0, tokens: 0 } },
    test: { rows: 1, tokens: 5, scored: 2, longest: 9, truncated: { rows: 1, tokens: 4 } },
  });
  assert.deepEqual(drawn, ["test"]);
});

test("labels are counted per split in the order of the choices, free answers by how many differ", () => {
  const counted = facts({
    train: [answer("1", "B", AB), answer("2", "B", AB), answer("3", "x")],
    validation: [answer("4", "A", AB)],
    test: [answer("5", "y"), answer("6", "x")],
  });
  assert.deepEqual(counted.labels, [
    { completion: "A", rows: { train: 0, validation: 1, test: 0 } },
    { completion: "B", rows: { train: 2, validation: 0, test: 0 } },
  ]);
  assert.equal(counted.freeAnswers, 2);
});

test("rows that occur twice are counted within a split and between splits, and prompts with two answers", () => {
  const { duplicates } = facts({
    train: [answer("1", "A"), answer("1", "A"), answer("2", "A"), answer("3", "A")],
    validation: [answer("2", "A"), answer("3", "B")],
    test: [answer("1", "A"), answer("1", "A"), answer("2", "A"), answer("9", "A")],
  });
  assert.deepEqual(duplicates, {
    within: { train: 1, validation: 0, test: 1 },
    between: [
      { splits: ["train", "validation"], rows: 1 },
      { splits: ["train", "test"], rows: 3 },
      { splits: ["validation", "test"], rows: 1 },
    ],
    contradictions: 1,
  });
});

test("notes name what deserves a second look, and nothing where all is well", () => {
  const many = (split: string, n: number, of: (at: number) => string) =>
    Array.from({ length: n }, (_, at) => answer(`${split} ${at} `, of(at), AB));
  const half = (at: number): string => AB[at % 2] as string;
  const fine = { train: many("t", 40, half), validation: many("v", 30, half), test: many("e", 10, half) };
  assert.deepEqual(notesOf(facts(fine)), []);
  const leak = { ...fine, test: [...fine.test, fine.train[3] as Example] };
  assert.deepEqual(notesOf(facts(leak)), ["1 of 11 test rows are also train rows"]);
  assert.deepEqual(notesOf(facts({ ...fine, validation: fine.validation.slice(1) })), [
    "learning rate and weights are decided on 29 validation rows; 30 or more would be steadier",
  ]);
  assert.deepEqual(notesOf(facts({ ...fine, train: many("t", 40, () => "A") })), [
    'no training row has the answer "B"',
    '40 of 40 training rows have the answer "A"',
  ]);
  const free = (rows: readonly Example[]) =>
    rows.map((row) => (row.kind === "answer" ? answer(row.prompt, row.completion) : row));
  assert.deepEqual(
    notesOf(facts({ train: free(fine.train), validation: free(fine.validation), test: free(fine.test) })),
    ["80 rows have 2 different answers; as choices they would give an accuracy"],
  );
  assert.match(notesOf(facts(fine, 4))[0] as string, /^\d+ of 80 rows are longer than maxTokens and lose tokens$/);
});
