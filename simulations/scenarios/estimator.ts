/** The estimator as studies ask it: on sketches of a plan's population, kept in a folder. Knows nothing of what is really tuned. */
import { sketchPopulation } from "../../client/tasks/gradients.js";
import type { RealLosses } from "../../coordinator/estimation/calibration.js";
import type { SurrogateSolver } from "../../coordinator/estimation/surrogate.js";
import { openEstimator } from "../../coordinator/stages/affinities.js";
import type { JobContext } from "../../shared/base/command.js";
import type { SimulationPlan } from "../../shared/config/config.js";
import type { Runtime } from "../../shared/runtimes/types.js";
import { readSketches, readSketchIndex } from "../../shared/sketch/folder.js";

export interface OpenedEstimator {
  readonly solver: SurrogateSolver;
  /** Operations that the sketches took, those kept from before too. */
  readonly flops: number;
}

/**
 * Sketches the population, but for clients whose sketches are there, and opens the solver on them. Close it.
 * @param real calibrates the solver
 */
export async function estimatorOf(
  plan: SimulationPlan,
  folder: string,
  runtime: Runtime,
  context: JobContext,
  real?: RealLosses,
): Promise<OpenedEstimator> {
  const { flops } = await sketchPopulation(plan, { out: folder, force: false }, context);
  const sketches = await readSketches(folder, await readSketchIndex(folder));
  const { estimation, seed } = plan;
  return { solver: await openEstimator(sketches, estimation, { seed, runtime, signal: context.signal, real }), flops };
}
