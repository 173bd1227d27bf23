/** The sketch preserves inner products: unbiased, with the variance of a dense Rademacher projection of the same width. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { tensorProjection } from "../../../shared/sketch/projection.js";
import { dot, gradient, SIZE, sketch, testInnerProducts } from "./inner-products.js";

testInnerProducts(200);

test("norms are kept within a few percent at d = 400 on average", () => {
  let sum = 0;
  for (let seed = 0; seed < 200; seed++) sum += dot(sketch(gradient(3), 400, seed), sketch(gradient(3), 400, seed));
  // E = 1, standard deviation of one draw at most sqrt(2 / 400) = 0.071, of the mean of 200 0.005.
  assert.ok(Math.abs(sum / 200 - 1) < 0.02, String(sum / 200));
});

test("equal seeds and tensors give equal projections, other seeds or tensors give others", () => {
  const one = tensorProjection(7, "layer.0", SIZE, 400);
  assert.deepEqual(tensorProjection(7, "layer.0", SIZE, 400), one);
  assert.notDeepEqual(tensorProjection(8, "layer.0", SIZE, 400).signs, one.signs);
  assert.notDeepEqual(tensorProjection(7, "layer.1", SIZE, 400).order, one.order);
});
