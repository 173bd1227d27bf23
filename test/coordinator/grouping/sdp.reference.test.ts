import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { labelsOf } from "../../../coordinator/grouping/partition.js";
import { adjustedRandIndex } from "../../../coordinator/grouping/rand-index.js";
import { solveGroupingSdp } from "../../../coordinator/grouping/sdp.js";
import { eigen, roundToGroups } from "../../../coordinator/grouping/spectral.js";
import { asset } from "../../../shared/base/assets.js";

interface Case {
  name: string;
  affinity: number[][];
  planted: number[] | null;
  solutions: { lambda?: number; trace?: number; objective: number; traceX: number }[];
}
const cases = JSON.parse(readFileSync(asset("test", "fixtures", "estimation", "sdp.json"), "utf8")) as Case[];

for (const { name, affinity, planted, solutions } of cases)
  test(`the relaxation reaches Clarabel's optimum and holds the constraints: ${name}`, async () => {
    const matrix = affinity.map((row) => Float64Array.from(row));
    const n = matrix.length;
    for (const { lambda, trace, objective } of solutions) {
      const solved = await solveGroupingSdp(matrix, { lambda, groups: trace, tolerance: 1e-6, maxIterations: 20_000 });
      const what = `lambda ${lambda}, trace ${trace}`;
      assert.ok(
        Math.abs(solved.objective - objective) < 1e-4 * Math.max(1, Math.abs(objective)),
        `${what}: ${solved.objective}`,
      );
      for (const row of solved.matrix) {
        assert.ok(Math.abs(row.reduce((sum, x) => sum + x, 0) - 1) < 1e-4, what);
        assert.ok(row.every((x) => x >= 0));
      }
      assert.ok(Math.min(...eigen(solved.matrix).values) > -1e-4, what);
      if (trace !== undefined) assert.ok(Math.abs(solved.trace - trace) < 1e-4, what);
    }
    if (planted === null || name === "planted-10-2") return;
    const m = new Set(planted).size;
    const rounded = roundToGroups((await solveGroupingSdp(matrix, { groups: m })).matrix, matrix, m, 0);
    assert.equal(adjustedRandIndex(labelsOf(rounded, n), planted), 1);
  });
