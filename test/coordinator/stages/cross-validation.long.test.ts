/**
 * The number of groups by cross-validation, on synthetic sketches with known rules. Without conflict a search that evaluates on all rows
 * still finds splits that seem to gain; rows that were not used in the search must refuse them.
 */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { affinityMatrix } from "../../../coordinator/estimation/affinity.js";
import { createBatchedSolver } from "../../../coordinator/estimation/batched.js";
import { memberValues } from "../../../coordinator/estimation/evaluate.js";
import { fitHeldOut } from "../../../coordinator/estimation/held-out.js";
import { SurrogateEvaluator } from "../../../coordinator/estimation/partition-evaluator.js";
import { buildProblem, crossFit } from "../../../coordinator/estimation/problem.js";
import { sampleSubsets } from "../../../coordinator/estimation/sampler.js";
import { groupClients } from "../../../coordinator/grouping/group.js";
import { adjustedRandIndex } from "../../../coordinator/grouping/rand-index.js";
import { crossValidated } from "../../../coordinator/stages/cross-validation.js";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";
import { plantedSketches } from "../../../simulations/benchmarks/planted-sketches.js";

const runtime = new OnnxRuntime();
after(() => runtime.close());

async function search(common: number, seed: number, train = 24) {
  const { sketches, labels } = plantedSketches({
    clients: 12,
    groups: 3,
    train,
    validation: 8,
    dim: 60,
    common,
    seed,
  });
  const solver = await createBatchedSolver(crossFit(buildProblem(sketches), undefined, seed), runtime);
  const subsets = sampleSubsets(labels.length, { seed });
  const fits = await fitHeldOut(solver, subsets.subsets);
  const evaluator = new SurrogateEvaluator(solver);
  const halves = (half: 0 | 1) => affinityMatrix(labels.length, subsets.subsets, memberValues(fits, half)).matrix;
  const options = { seed, signal: undefined };
  const { matrix } = affinityMatrix(labels.length, subsets.subsets, memberValues(fits));
  // The search alone, without cross-validation.
  const eager = await groupClients(matrix, { ...options, evaluator, oneGroupMargin: 0, margin: 0 });
  const grouping = await crossValidated(eager, halves, evaluator, options);
  await solver.close();
  const found = labels.map((_, i) => grouping.partition.findIndex((group) => group.includes(i)));
  return { eager, grouping, agreement: adjustedRandIndex(found, labels) };
}

test("without conflict a split that seemed to gain is refused", async () => {
  let seemed = 0;
  for (const seed of [1, 2, 3]) {
    const { eager, grouping } = await search(1, seed);
    if (eager.partition.length > 1) seemed++;
    assert.equal(grouping.partition.length, 1, grouping.why);
    assert.match(grouping.why, /^one group: .*held-out rows that were not used/);
    assert.equal(grouping.candidates[grouping.chosen]!.partition.length, 1);
  }
  assert.ok(seemed > 0, "control: the search alone must be wrong at least once");
});

test("planted groups are confirmed, and the chosen candidate is the partition returned", async () => {
  for (const seed of [1, 2]) {
    const { grouping, agreement } = await search(0, seed, 64);
    assert.ok(agreement >= 0.8, `adjusted Rand index ${agreement}: ${grouping.why}`);
    assert.equal(grouping.candidates[grouping.chosen]!.partition, grouping.partition);
  }
});
