/** Gradients, their sketches, and a test of inner products against a dense projection. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededRng } from "../../../shared/base/random.js";
import { addSketch, tensorProjection } from "../../../shared/sketch/projection.js";

const OUT = 96;
const RANK = 16;
export const SIZE = OUT * RANK;

/** Gradients like those of LoRA's B: sums of a few outer products, with unequal energy per row. */
export function gradient(seed: number): Float32Array {
  const rng = new SeededRng(seed, "gradient");
  const data = new Float32Array(SIZE);
  for (let t = 0; t < 3; t++) {
    const e = Float64Array.from({ length: OUT }, (_, o) => rng.normal() * (o < 8 ? 4 : 1));
    const x = Float64Array.from({ length: RANK }, () => rng.normal());
    for (let o = 0; o < OUT; o++) for (let r = 0; r < RANK; r++) data[o * RANK + r]! += e[o]! * x[r]!;
  }
  const norm = Math.hypot(...data);
  return data.map((v) => v / norm);
}

export const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
};

export function sketch(data: Float32Array, dim: number, seed: number): Float64Array {
  const into = new Float64Array(dim);
  addSketch(tensorProjection(seed, "b", SIZE, dim), data, into);
  return into;
}

function dense(data: Float32Array, dim: number, seed: number): Float64Array {
  const rng = new SeededRng(seed, "dense");
  const into = new Float64Array(dim);
  for (const value of data) for (let k = 0; k < dim; k++) into[k]! += (rng.sign() * value) / Math.sqrt(dim);
  return into;
}

export function testInnerProducts(dim: number): void {
  test(`at d = ${dim} inner products are unbiased, and their spread is at most 1.3 times that of a dense projection`, () => {
    const [u, v] = [gradient(1), gradient(2)];
    const truth = dot(u, v);
    const draws = 300;
    const spread = (way: typeof sketch): { mean: number; deviation: number } => {
      const values = Array.from({ length: draws }, (_, seed) => dot(way(u, dim, seed), way(v, dim, seed)));
      const mean = values.reduce((sum, x) => sum + x, 0) / draws;
      return { mean, deviation: Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (draws - 1)) };
    };
    const ours = spread(sketch);
    const theirs = spread(dense);
    // Four standard errors of the mean over 300 draws: a right sketch fails once in 16,000 seeds.
    assert.ok(
      Math.abs(ours.mean - truth) < (4 * ours.deviation) / Math.sqrt(draws),
      `mean ${ours.mean}, truth ${truth}`,
    );
    // A standard deviation of 300 draws is known to 4 %; 1.3 is seven of those away.
    assert.ok(ours.deviation < 1.3 * theirs.deviation, `${ours.deviation} against ${theirs.deviation}`);
  });
}
