import assert from "node:assert/strict";
import test from "node:test";
import {
  correlation,
  explained,
  ranks,
  ratioOfMeans,
  spearman,
  standardError,
} from "../../../../simulations/scenarios/harness/statistics.js";

const close = (actual: number, wanted: number): void => assert.ok(Math.abs(actual - wanted) < 1e-12, `${actual}`);

test("ties get the mean of their ranks", () => {
  assert.deepEqual(ranks([3, 1, 3, 2]), [2.5, 0, 2.5, 1]);
});

test("correlations equal a computation by hand", () => {
  const [a, b] = [
    [1, 2, 2, 4],
    [1, 3, 2, 5],
  ];
  // Deviations -1.25, -0.25, -0.25, 1.75 and -1.75, 0.25, -0.75, 2.25: products 6.25, squares 4.75 and 8.75.
  close(correlation(a, b), 6.25 / Math.sqrt(4.75 * 8.75));
  // Ranks 0, 1.5, 1.5, 3 and 0, 2, 1, 3: products 4.5, squares 4.5 and 5.
  close(spearman(a, b), 4.5 / Math.sqrt(4.5 * 5));
  close(spearman([1, 2, 3], [9, 4, 1]), -1);
  assert.ok(Number.isNaN(correlation([1, 1], [1, 2])));
});

test("the explained variance is 1 for the truth, 0 for the mean and negative for a worse estimate", () => {
  close(explained([1, 2, 6], [1, 2, 6]), 1);
  close(explained([1, 2, 6], [3, 3, 3]), 0);
  assert.ok(explained([1, 2, 6], [6, 2, 1]) < 0);
});

test("the standard error of a mean is the deviation divided by the root of the number", () => {
  close(standardError([1, 3]), 1);
  close(standardError([2, 4, 6, 8]), Math.sqrt(20 / 3 / 4));
  assert.ok(Number.isNaN(standardError([1])));
});

test("the standard error of a ratio of means is close to the jackknife's, and 0 where the ratio does not vary", () => {
  const [above, below] = [
    [1, 2.5, 3, 5, 4, 7],
    [2, 4, 7, 9, 9, 13],
  ];
  const { value, standardError: error } = ratioOfMeans(above, below);
  close(value, 22.5 / 44);
  const without = above.map((_, i) => {
    const rest = (values: number[]) => values.reduce((sum, one, k) => sum + (k === i ? 0 : one), 0);
    return rest(above) / rest(below);
  });
  const middle = without.reduce((a, b) => a + b) / 6;
  const jackknife = Math.sqrt((5 / 6) * without.reduce((sum, one) => sum + (one - middle) ** 2, 0));
  assert.ok(Math.abs(error / jackknife - 1) < 0.1, `${error}, jackknife ${jackknife}`);
  assert.ok(ratioOfMeans([1, 2, 3], [2, 4, 6]).standardError < 1e-12);
});
