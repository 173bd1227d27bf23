import assert from "node:assert/strict";
import { test } from "node:test";
import type { Example } from "../../../client/data/types.js";
import { answersOf, examplesOf } from "../../../simulations/report/answers.js";
import { type ScoredTestRows, scoredTestRows } from "../../../simulations/report/measured.js";

const LABELS = [" yes", " no"];
const row = (completion: string, prompt = "is it?", choices: readonly string[] = LABELS): Example => ({
  kind: "answer",
  where: "rows.jsonl:1",
  prompt,
  completion,
  choices,
});
const scores = (...chosen: number[]) => chosen.map((answer, r) => ({ nll: r + 1, chosen: answer }));

const client: ScoredTestRows = {
  client: "one",
  rows: [row(" yes"), row(" yes"), row(" no"), row(" yes")],
  tokens: [1, 2, 1, 1],
  methods: new Map([
    ["shared", scores(0, 1, 1, 0)],
    ["kindred", scores(0, 0, 1, 1)],
  ]),
};

test("a confusion matrix counts the answers given by the right ones, the most frequent right answer first", () => {
  assert.deepEqual(answersOf([client]), {
    labels: [" yes", " no"],
    others: false,
    confusion: {
      shared: [
        [2, 1],
        [0, 1],
      ],
      kindred: [
        [2, 1],
        [0, 1],
      ],
    },
  });
});

test("answers beyond the ten most frequent are counted together, and no row is lost", () => {
  const labels = Array.from({ length: 14 }, (_, k) => ` label ${k}`);
  const rows = labels.flatMap((label, k) => Array.from({ length: 15 - k }, () => row(label, "which?", labels)));
  const chosen = rows.map((_, r) => r % labels.length);
  const found = answersOf([
    { client: "one", rows, tokens: rows.map(() => 1), methods: new Map([["kindred", scores(...chosen)]]) },
  ]);
  assert.ok(found?.others);
  assert.deepEqual(found.labels, labels.slice(0, 10));
  const table = found.confusion.kindred!;
  assert.deepEqual([table.length, table[0]!.length], [11, 11]);
  assert.equal(
    table.flat().reduce((sum, count) => sum + count, 0),
    rows.length,
  );
});

test("rows without choices have no confusion matrix", () => {
  const text: Example = { kind: "text", where: "rows.jsonl:1", text: "once upon a time" };
  const rows: ScoredTestRows = {
    client: "one",
    rows: [text],
    tokens: [3],
    methods: new Map([["kindred", scores(-1)]]),
  };
  assert.equal(answersOf([rows]), undefined);
  assert.deepEqual(examplesOf([rows], 3, 0), {
    rows: [{ client: "one", prompt: "once upon a time", right: "", methods: { kindred: { loss: 1 / 3 } } }],
    of: 1,
    all: 1,
    differing: false,
  });
});

test("examples are drawn among rows on which the answers differ, with each method's answer and loss per token", () => {
  const found = examplesOf([client], 10, 0)!;
  assert.deepEqual([found.of, found.all, found.differing], [2, 4, true]);
  assert.deepEqual(
    found.rows.map(({ methods }) => methods).sort((a, b) => a.kindred!.loss - b.kindred!.loss),
    [
      { shared: { loss: 1, answer: " no" }, kindred: { loss: 1, answer: " yes" } },
      { shared: { loss: 4, answer: " yes" }, kindred: { loss: 4, answer: " no" } },
    ],
  );
  assert.equal(examplesOf([client], 0, 0), undefined);
  assert.equal(examplesOf([client], 1, 0)!.rows.length, 1);
});

test("long prompts keep their end, and no character is cut in two", () => {
  const long = { ...client, rows: client.rows.map(() => row(" yes", `${"🙂".repeat(400)}end`)) };
  for (const { prompt } of examplesOf([long], 4, 0)!.rows) {
    assert.match(prompt, /^…🙂+end$/u);
    assert.equal([...prompt].length, 280);
  }
});

test("kept rows that do not make up what the client sent are refused", () => {
  const sent = (nllSum: number) =>
    new Map([
      ["shared", new Map([["one", { nllSum: 10, tokens: 5, correct: 3, choiceRows: 4, examples: 4 }]])],
      ["kindred", new Map([["one", { nllSum, tokens: 5, correct: 3, choiceRows: 4, examples: 4 }]])],
    ] as const);
  const kept = {
    adapters: { tokens: client.tokens, mixtures: [...client.methods.values()] },
    full: undefined,
  };
  assert.deepEqual(scoredTestRows("one", client.rows, kept, sent(10)), client);
  assert.throws(() => scoredTestRows("one", client.rows, kept, sent(10.1)), /test rows of one under kindred/);
  assert.throws(() => scoredTestRows("one", client.rows.slice(1), kept, sent(10)), /test rows of one/);
  const none = { adapters: undefined, full: undefined };
  assert.equal(scoredTestRows("one", client.rows, none, sent(10)), undefined);
});
