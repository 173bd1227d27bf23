/** Estimate and grouping of planted sketches, as a run makes them. */
import { affinityMatrix } from "../../../coordinator/estimation/affinity.js";
import { createBatchedSolver } from "../../../coordinator/estimation/batched.js";
import { memberValues } from "../../../coordinator/estimation/evaluate.js";
import { fitHeldOut } from "../../../coordinator/estimation/held-out.js";
import { SurrogateEvaluator } from "../../../coordinator/estimation/partition-evaluator.js";
import { buildProblem, crossFit } from "../../../coordinator/estimation/problem.js";
import { sampleSubsets } from "../../../coordinator/estimation/sampler.js";
import { groupClients } from "../../../coordinator/grouping/group.js";
import { labelsOf } from "../../../coordinator/grouping/partition.js";
import { adjustedRandIndex } from "../../../coordinator/grouping/rand-index.js";
import type { Runtime } from "../../../shared/runtimes/types.js";
import { type PlantedSketchOptions, plantedSketches } from "../../../simulations/benchmarks/planted-sketches.js";

/** Of each client: far fewer examples than dimensions. */
export const FEW_EXAMPLES = { train: 16, validation: 8, dim: 100 } as const;

/** @returns the grouping, and its adjusted Rand index against the planted groups */
export async function groupPlanted(runtime: Runtime, options: PlantedSketchOptions) {
  const { sketches, labels } = plantedSketches(options);
  const n = options.clients;
  const solver = await createBatchedSolver(crossFit(buildProblem(sketches)), runtime);
  const { subsets } = sampleSubsets(n, { seed: options.seed });
  const { matrix } = affinityMatrix(n, subsets, memberValues(await fitHeldOut(solver, subsets)));
  const grouping = await groupClients(matrix, { evaluator: new SurrogateEvaluator(solver), seed: options.seed });
  await solver.close();
  return { grouping, ari: adjustedRandIndex(labelsOf(grouping.partition, n), labels) };
}
