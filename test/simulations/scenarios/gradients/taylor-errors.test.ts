import assert from "node:assert/strict";
import test from "node:test";
import type { Expansion } from "../../../../simulations/scenarios/gradients/expansion.js";
import {
  errorsOf,
  type KindResult,
  type PathResult,
} from "../../../../simulations/scenarios/gradients/taylor-errors.js";

const close = (actual: number, wanted: number): void => assert.ok(Math.abs(actual - wanted) < 1e-12, `${actual}`);

/** At one step, half the way. */
const expansion = (row: number, start: number, slope: number, value: number): Expansion & { client: string } => ({
  client: "c",
  row,
  margin: "answer",
  start,
  slope,
  sketchedSlope: 2 * slope,
  differenceSlope: slope,
  values: [value],
  ofLinearLogits: [value + 0.25],
});

const way = (...expansions: PathResult["expansions"]): PathResult => ({
  group: ["c"],
  loss: { before: 1, after: 0.5 },
  shares: [0.5],
  lengths: [0.001],
  weightChanges: null,
  expansions,
});

const result = (...ways: PathResult[]): KindResult => ({
  kind: "LoRA",
  seed: 0,
  norms: { all: 1, adapted: null },
  ways,
});

test("errors are relative to the mean margin and to its mean change, of the expansion, its sketch and the logits'", () => {
  // Expanded to -2 + 0.5 and 3 + 1; really -1 and 3.5.
  const results = [result(way(expansion(0, -2, 1, -1), expansion(1, 3, 2, 3.5)))];
  const linear = errorsOf(results, "answer", 0, "linear");
  close(linear.margin, 2.25);
  close(linear.change, 0.75);
  close(linear.ofMargin.value, 1 / 4.5);
  close(linear.squared.value, 0.5 / (1 + 3.5 ** 2));
  close(linear.ofChange.value, 1 / 1.5);
  close(errorsOf(results, "answer", 0, "sketched").ofChange.value, 1.5 / 1.5);
  close(errorsOf(results, "answer", 0, "logits").ofMargin.value, 0.5 / 4.5);
});

test("an example in two tunings counts once in the standard error", () => {
  const own = [expansion(0, -2, 1, -1), expansion(1, 3, 2, 3.5), expansion(2, 1, 1, 2.5)];
  const once = errorsOf([result(way(...own))], "answer", 0, "linear");
  const twice = errorsOf([result(way(...own), way(...own))], "answer", 0, "linear");
  assert.ok(once.ofMargin.standardError > 0);
  close(twice.ofMargin.standardError, once.ofMargin.standardError);
  close(twice.margin, once.margin);
});
