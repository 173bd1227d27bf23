/** How long the estimation takes: all surrogates of the sampled subsets, and every f_i(S), on a runtime. */
import { affinityMatrix } from "../../coordinator/estimation/affinity.js";
import { createBatchedSolver } from "../../coordinator/estimation/batched.js";
import { fitHeldOut, memberValues } from "../../coordinator/estimation/evaluate.js";
import { buildProblem } from "../../coordinator/estimation/problem.js";
import { sampleSubsets } from "../../coordinator/estimation/sampler.js";
import type { Runtime } from "../../shared/runtimes/types.js";
import { plantedSketches } from "./planted-sketches.js";

export interface EstimationBench {
  readonly clients: number;
  readonly subsets: number;
  readonly subsetSize: number;
  readonly dim: number;
  readonly trainExamples: number;
  readonly validationExamples: number;
  readonly seed: number;
  /** Checking and uploading the sketches, and the principal axes. */
  readonly prepareSeconds: number;
  /** All surrogates. */
  readonly fitSeconds: number;
  /** All f_i(S) and the affinity matrix. */
  readonly valueSeconds: number;
  readonly totalSeconds: number;
  /** Largest over the subsets, where the mean squared norm of g is 1. */
  readonly gradientNorm: number;
  readonly newtonSteps: number;
  readonly hessianProducts: number;
}

/** 100 clients x 100 examples, 1000 subsets of 10, d = 400 unless told otherwise. Prints one line to stdout. */
export async function benchEstimation(
  runtime: Runtime,
  { clients = 100, subsets = 1000, subsetSize = 10, dim = 400, train = 100, validation = 20, seed = 0 } = {},
): Promise<EstimationBench> {
  const { sketches } = plantedSketches({ clients, groups: 5, train, validation, dim, seed });
  const start = performance.now();
  const problem = buildProblem(sketches);
  const plan = sampleSubsets(clients, { size: subsetSize, subsets, seed });
  const solver = await createBatchedSolver(problem, runtime);
  const prepared = performance.now();
  const fits = await fitHeldOut(solver, plan.subsets);
  const fitted = performance.now();
  affinityMatrix(clients, plan.subsets, memberValues(fits));
  const end = performance.now();
  await solver.close();
  const result: EstimationBench = {
    clients,
    subsets: plan.subsets.length,
    subsetSize,
    dim,
    trainExamples: train,
    validationExamples: validation,
    seed,
    prepareSeconds: (prepared - start) / 1000,
    fitSeconds: (fitted - prepared) / 1000,
    valueSeconds: (end - fitted) / 1000,
    totalSeconds: (end - start) / 1000,
    gradientNorm: fits.gradientNorm.reduce((a, b) => Math.max(a, b), 0),
    newtonSteps: fits.steps,
    hessianProducts: fits.products,
  };
  process.stdout.write(
    `estimation: ${clients} clients x ${train} examples, ${result.subsets} subsets of ${subsetSize}, d = ${dim}, seed ${seed}: ` +
      `${result.totalSeconds.toFixed(2)} s (prepare ${result.prepareSeconds.toFixed(2)}, fit ${result.fitSeconds.toFixed(2)}, ` +
      `values ${result.valueSeconds.toFixed(2)}), gradient norm ${result.gradientNorm.toExponential(1)}, ` +
      `${result.newtonSteps} Newton steps, ${result.hessianProducts} products\n`,
  );
  return result;
}
