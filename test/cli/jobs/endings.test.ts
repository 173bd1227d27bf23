import assert from "node:assert/strict";
import { test } from "node:test";
import { clientEnding, coordinatorEnding, reportEnding } from "../../../cli/jobs/endings.js";
import { formatWords } from "../../../cli/options/rows.js";
import type { RunOutcome } from "../../../coordinator/open-run.js";

test("a simulation ends with its report, how to open it, and the command that exports its adapters", () => {
  assert.equal(
    reportEnding("runs/my run/", "/data/runs/my run"),
    [
      "report: runs/my run/report.html",
      "open it in a browser: file:///data/runs/my%20run/report.html",
      "get the adapters: kindred export 'runs/my run/' --out 'runs/my run-export'",
    ].join("\n"),
  );
});

test("a coordinator ends with what came of the run, where it is, and what to run next", () => {
  const score = { nllSum: 3, tokens: 2, examples: 4, correct: 3, choiceRows: 4 };
  const outcome = {
    clients: ["ada", "bob"],
    groups: [["ada"], ["bob"]],
    members: [{}, {}, {}],
    methods: new Map([
      [
        "kindred",
        new Map([
          ["ada", score],
          ["bob", { ...score, correct: 0, choiceRows: 0, nllSum: 1 }],
        ]),
      ],
    ]),
    faults: [{ client: "bob", stage: "train", message: "gone" }],
  } as unknown as RunOutcome;
  assert.deepEqual(coordinatorEnding(outcome, "runs/co", "/runs/co/result.json").split("\n"), [
    "the run is complete: 2 clients in 2 groups, 3 adapters",
    "kindred: mean test loss 1.000 and accuracy 75.0 %",
    "1 fault, each of a single client: kindred run show runs/co",
    "result: /runs/co/result.json",
    "look at the run: kindred run show runs/co",
    "get the adapters: kindred export runs/co --out DIR",
  ]);
  assert.doesNotMatch(coordinatorEnding(outcome, "memory:", undefined), /result:/);
});

test("a client ends with its ensemble and the command that uses it, or says why it has none", () => {
  const place = { name: "harbour", model: "the model", state: "runs/harbour" };
  assert.deepEqual(clientEnding(1, place).split("\n"), [
    "the run is complete: harbour has an ensemble of 1 adapter",
    "ensemble: runs/harbour/ensemble",
    "answer rows with it: kindred predict --model 'the model' --ensemble runs/harbour/ensemble --client harbour --data ROWS.jsonl",
  ]);
  const format = formatWords({ template: "Note: {text} Urgent:", choices: { 0: " no", 1: " yes" }, label: "urgent" });
  assert.match(
    clientEnding(1, { ...place, format }),
    / --data ROWS\.jsonl --template 'Note: \{text\} Urgent:' --choices '\{"0":" no","1":" yes"\}' --label urgent$/,
  );
  assert.deepEqual(formatWords({ ignore: ["score", "messages.weight"], endOfText: true }), [
    "--ignore",
    "score,messages.weight",
    "--end-of-text",
    "true",
  ]);
  assert.match(clientEnding(1, { ...place, state: undefined }), /which was not kept: --state/);
  assert.match(clientEnding(undefined, place), /without an ensemble for this client$/);
});
