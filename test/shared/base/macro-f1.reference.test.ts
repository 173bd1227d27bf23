/** Macro-F1 against scikit-learn. Fixture: test/fixtures/make_f1.py. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { asset } from "../../../shared/base/assets.js";
import { Guesses } from "../../../shared/base/macro-f1.js";

const CASES = JSON.parse(readFileSync(asset("test", "fixtures", "f1", "f1.json"), "utf8")) as {
  labels: number[];
  guesses: number[];
  macroF1: number;
}[];

test("macro-F1 is scikit-learn's, with classes that are never guessed, classes that are never right, and guesses of no class", () => {
  assert.ok(CASES.length > 5);
  for (const { labels, guesses, macroF1 } of CASES)
    assert.ok(Math.abs(new Guesses(labels, guesses).macroF1() - macroF1) < 1e-12, `of ${labels.length} rows`);
});

test("a row counts once per occurrence of its index", () => {
  for (const { labels, guesses } of CASES) {
    const rows = labels.flatMap((_, r) => new Array<number>(r % 3).fill(r));
    if (rows.length === 0) continue;
    const spelt = new Guesses(
      rows.map((r) => labels[r]!),
      rows.map((r) => guesses[r]!),
    );
    assert.equal(new Guesses(labels, guesses).macroF1(rows), spelt.macroF1());
  }
});
