import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { decompose } from "../../../coordinator/algebra/eigen.js";
import { density } from "../../../coordinator/grouping/density.js";
import { labelsOf } from "../../../coordinator/grouping/partition.js";
import { adjustedRandIndex } from "../../../coordinator/grouping/rand-index.js";
import { solveGroupingSdp } from "../../../coordinator/grouping/sdp.js";
import { asset } from "../../../shared/base/assets.js";
import { plantedAffinity } from "../../../simulations/benchmarks/sdp.js";

const leastEigenvalue = (matrix: readonly Float64Array[]): number =>
  decompose(
    matrix.flatMap((row) => [...row]),
    matrix.length,
  ).values.at(-1)!;

interface Case {
  name: string;
  affinity: number[][];
  planted: number[] | null;
  solutions: { lambda?: number; trace?: number; objective: number; traceX: number }[];
}
const cases = JSON.parse(readFileSync(asset("test", "fixtures", "estimation", "sdp.json"), "utf8")) as Case[];

for (const { name, affinity, planted, solutions } of cases)
  test(`the relaxation reaches Clarabel's optimum and satisfies the constraints: ${name}`, async () => {
    const matrix = affinity.map((row) => Float64Array.from(row));
    const n = matrix.length;
    for (const { lambda, trace, objective } of solutions) {
      const solved = await solveGroupingSdp(matrix, { lambda, groups: trace, tolerance: 1e-6, maxIterations: 20_000 });
      const what = `lambda ${lambda}, trace ${trace}`;
      assert.ok(solved.gap <= 1e-6, `${what}: gap ${solved.gap} after ${solved.iterations} iterations`);
      assert.ok(solved.bound >= objective - 1e-7 * Math.max(1, Math.abs(objective)), `${what}: bound ${solved.bound}`);
      assert.ok(
        Math.abs(solved.objective - objective) < 1e-4 * Math.max(1, Math.abs(objective)),
        `${what}: ${solved.objective}`,
      );
      for (const row of solved.matrix) {
        assert.ok(Math.abs(row.reduce((sum, x) => sum + x, 0) - 1) < 1e-4, what);
        assert.ok(row.every((x) => x >= 0));
      }
      assert.ok(leastEigenvalue(solved.matrix) > -1e-4, what);
      if (trace !== undefined) assert.ok(Math.abs(solved.trace - trace) < 1e-4, what);
    }
    if (planted === null || name === "planted-10-2") return;
    const m = new Set(planted).size;
    const rounded = (await solveGroupingSdp(matrix, { groups: m })).partition;
    assert.equal(adjustedRandIndex(labelsOf(rounded, n), planted), 1);
  });

test("where the relaxation is tight the planted partition is proved the best of all with so many groups", async () => {
  const affinity = plantedAffinity(90, 4, 0.5);
  const solved = await solveGroupingSdp(affinity, { groups: 4 });
  assert.equal(
    adjustedRandIndex(
      labelsOf(solved.partition, 90),
      affinity.map((_, i) => i % 4),
    ),
    1,
  );
  assert.equal(solved.objective, density(affinity, solved.partition));
  assert.ok(solved.gap <= 1e-4 && solved.bound >= solved.objective);
});

test("where the relaxation is not tight, X is feasible, better than its rounding, and proved within the tolerance by few eigenpairs", async () => {
  const affinity = plantedAffinity(70, 4, 2);
  for (const options of [{ groups: 4 }, { groups: 3.5 }, { lambda: 4 }]) {
    const solved = await solveGroupingSdp(affinity, options);
    const what = JSON.stringify(options);
    assert.ok(solved.gap <= 1e-4, `${what}: ${solved.gap} after ${solved.iterations} iterations`);
    const rounding = density(affinity, solved.partition) - (options.lambda ?? 0) * solved.partition.length;
    if (options.groups !== 3.5) assert.ok(solved.objective > rounding, what);
    let objective = 0;
    for (const [i, row] of solved.matrix.entries()) {
      assert.ok(Math.abs(row.reduce((sum, x) => sum + x, 0) - 1) < 1e-9, what);
      assert.ok(row.every((x, j) => x >= 0 && x === solved.matrix[j]![i]));
      objective += row.reduce((sum, x, j) => sum + x * affinity[i]![j]!, 0) - (options.lambda ?? 0) * row[i]!;
    }
    assert.ok(Math.abs(objective - solved.objective) < 1e-9 * objective, what);
    assert.ok(leastEigenvalue(solved.matrix) > -1e-9, what);
    if (options.groups !== undefined) assert.ok(Math.abs(solved.trace - options.groups) < 1e-12);
  }
});

test("a solve cut short reports its gap, and its bound holds", async () => {
  const affinity = plantedAffinity(40, 3, 2);
  const exact = await solveGroupingSdp(affinity, { groups: 3, tolerance: 1e-6 });
  const short = await solveGroupingSdp(affinity, { groups: 3, maxIterations: 10 });
  assert.ok(short.gap > 1e-3 && short.iterations === 10);
  assert.ok(short.bound >= exact.objective && short.objective <= exact.bound);
  assert.ok(exact.gap <= 1e-6);
});
