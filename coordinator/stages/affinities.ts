/**
 * The stage from sketches to affinities, for a run and for `kindred estimate`: options, the solver, the sampled subsets, and the facts
 * that a report gives of them. It knows nothing of the origin of the sketches.
 */
import type { Balance, Design } from "../../shared/config/enumerations.js";
import type { Runtime } from "../../shared/runtimes/types.js";
import type { ClientSketch } from "../../shared/sketch/types.js";
import { eventLoopYield } from "../algebra/yield.js";
import { affinityMatrix } from "../estimation/affinity.js";
import { createAveragedSolver } from "../estimation/averaged.js";
import { createBatchedSolver } from "../estimation/batched.js";
import { calibrated, type RealLosses } from "../estimation/calibration.js";
import { type Half, memberValues } from "../estimation/evaluate.js";
import { type PrecisionOptions, type SampledAffinity, sampleAffinity } from "../estimation/precision.js";
import { reduceToPrincipalAxes } from "../estimation/principal-axes.js";
import { buildProblem, crossFit } from "../estimation/problem.js";
import type { SurrogateSolver } from "../estimation/surrogate.js";

/** Options of the estimate in the form of a configuration. */
export interface EstimationSettings {
  readonly subsets: "auto" | number;
  readonly subsetSize: "auto" | number;
  readonly lambda: "auto" | number | readonly number[];
  /** Of T, nats. */
  readonly standardError: "auto" | number;
  readonly design: Design;
  readonly balance: Balance;
}

/** The settings of the estimator itself, without those of the sampled subsets. */
export interface EstimatorSettings extends Pick<EstimationSettings, "balance" | "lambda"> {
  /** Number of projections in one sketch. */
  readonly projections: number;
}

export interface EstimationFacts {
  readonly subsets: number;
  readonly subsetSize: number;
  /** Numbers in a sketch, all projections together. */
  readonly dim: number;
  /** Dimensions in which surrogates are solved: leading axes where `dim` is larger. */
  readonly axes: number;
  readonly pairCoverage: { readonly min: number; readonly mean: number; readonly max: number };
  /** Of an affinity, by the choice of subsets, nats; null where each pair is in one subset of many. */
  readonly standardError: number | null;
  readonly twoTerms: boolean;
  readonly folds: number;
  /** lambda_0, the median over the subsets' choices from the path. */
  readonly lambda: number;
  readonly largestGradientNorm: number;
}

const chosen = <T>(value: "auto" | T): T | undefined => (value === "auto" ? undefined : (value as T));

export const samplingOf = (settings: EstimationSettings, seed: number): PrecisionOptions => ({
  size: chosen(settings.subsetSize),
  subsets: chosen(settings.subsets),
  standardError: chosen(settings.standardError),
  design: settings.design,
  seed,
});

/**
 * The solver of the clients' surrogates, with examples in folds drawn by the seed where they are few, and calibrated where real losses
 * are given. The caller closes it.
 */
export async function openEstimator(
  sketches: readonly ClientSketch[],
  { balance, lambda, projections }: EstimatorSettings,
  {
    seed,
    runtime,
    signal,
    real,
  }: {
    readonly seed: number;
    readonly runtime: Runtime;
    readonly signal?: AbortSignal | undefined;
    readonly real?: RealLosses | undefined;
  },
): Promise<SurrogateSolver> {
  const yieldToEventLoop = eventLoopYield(signal);
  const problem = buildProblem(sketches, balance);
  // Checking and joining the rows of 500 clients each block the event loop for 0.1 s.
  await yieldToEventLoop();
  // With several projections the user has chosen the width of each.
  const narrow = projections === 1 ? await reduceToPrincipalAxes(problem, runtime, { signal }) : problem;
  const folded = crossFit(narrow, undefined, seed);
  await yieldToEventLoop();
  const solver = await createAveragedSolver(folded, projections, (part) =>
    createBatchedSolver(part, runtime, { lambda: chosen(lambda), signal }),
  );
  if (real === undefined) return solver;
  try {
    return await calibrated(solver, real);
  } catch (error) {
    await solver.close();
    throw error;
  }
}

/** @param onShare told how far it is, 0 .. 1; where a standard error is to be reached, how far its first family of subsets is */
export function estimateAffinities(
  solver: SurrogateSolver,
  settings: EstimationSettings,
  seed: number,
  onShare?: (share: number) => void,
): Promise<SampledAffinity> {
  const { size, ...sampling } = samplingOf(settings, seed);
  // After a client dropped out, a subset must not be larger than the number of clients.
  const most = solver.problem.clients.length;
  return sampleAffinity(solver, { ...sampling, size: size && Math.min(size, most) }, onShare);
}

export function factsOf({ problem }: SurrogateSolver, { plan, fits, errors }: SampledAffinity): EstimationFacts {
  return {
    subsets: plan.subsets.length,
    subsetSize: plan.size,
    dim: problem.sentDim ?? problem.dim,
    axes: problem.dim,
    pairCoverage: plan.pairCoverage,
    standardError: Number.isFinite(errors.typical) ? errors.typical : null,
    twoTerms: problem.twoTerm,
    folds: problem.folds?.count ?? 1,
    lambda: median(fits.lambda),
    largestGradientNorm: fits.gradientNorm.reduce((most, norm) => Math.max(most, norm), 0),
  };
}

/** T by one half of every client's held-out examples. */
export function halfAffinity({ affinity, plan, fits }: SampledAffinity, half: Half): readonly Float64Array[] {
  return affinityMatrix(affinity.matrix.length, plan.subsets, memberValues(fits, half)).matrix;
}

/** The lower of the middle two where the count is even: a value of the path. */
const median = (values: Float64Array): number => values.toSorted()[(values.length - 1) >> 1]!;
