import assert from "node:assert/strict";
import { test } from "node:test";
import { buildProblem } from "../../../coordinator/estimation/problem.js";
import { PartitionConstraints } from "../../../coordinator/grouping/constraints.js";
import { labelsOf } from "../../../coordinator/grouping/partition.js";
import { adjustedRandIndex } from "../../../coordinator/grouping/rand-index.js";
import { baselineGrouping } from "../../../coordinator/stages/baseline.js";
import { plantedSketches } from "../../../simulations/benchmarks/planted-sketches.js";
import { plantedAffinity } from "../../../simulations/benchmarks/sdp.js";

const { sketches, labels } = plantedSketches({ clients: 18, groups: 3, train: 60, validation: 4, dim: 30 });
const problem = buildProblem(sketches);
const search = (constraints: object = {}) => ({
  seed: 0,
  signal: undefined,
  constraints: new PartitionConstraints(problem.clients, { together: [], apart: [], ...constraints }),
});

test("the cosine of mean gradients finds groups with different rules, regardless of the affinities", async () => {
  const noise = plantedAffinity(18, 2, 3);
  const fixed = await baselineGrouping("cosine", noise, problem, 3, search());
  assert.equal(adjustedRandIndex(labelsOf(fixed.partition, 18), labels), 1);
  assert.equal(fixed.why, "3 groups by cosine, as requested");
  const free = await baselineGrouping("cosine", noise, problem, undefined, search());
  assert.equal(adjustedRandIndex(labelsOf(free.partition, 18), labels), 1);
  assert.match(free.why, /^3 groups by cosine, their number by the eigengap/);
});

test("a baseline satisfies the constraints and their bounds on the number of groups", async () => {
  const affinity = plantedAffinity(18, 2, 0.2);
  const { partition } = await baselineGrouping("agglomerative", affinity, problem, undefined, search({ maxSize: 5 }));
  assert.ok(partition.length >= 4 && partition.every((group) => group.length <= 5));
});
