/**
 * The surrogate of fine-tuning on a subset S of clients (Li et al. 2025, arXiv 2505.21930, section 3; the method of first-order
 * fine-tuning estimation):
 *
 *   w_S = argmin_w (1 / N_S) sum over examples of sum over its rows of log(1 + exp(-(h + g.w))) + lambda_S ||w||^2
 *
 * This file holds what every solver of it agrees on: options, lambda, results. It knows nothing of how it is solved.
 *
 * lambda is relative to the mean squared norm of g (so alpha / r, A and the projection's scale do not matter) and falls with
 * the examples of the subset, lambda_S = lambda_0 * N_0 / N_S: with equal passes over the data the number of training steps
 * grows with N_S, and early stopping regularises less: a gradient flow stopped at time t acts as a ridge of strength 1 / t (Ali,
 * Kolter and Tibshirani 2019). For the same reason it falls with the number of passes. On twelve real sets with 120 training rows each, the falling lambda
 * ranks the true differences between one and all sets' adapters with a correlation of 0.45 against -0.15 for a fixed one
 * (full-vocabulary margin, 1e-3), and 0.36 with 0.50 for single sets in the two-term form at 3e-3: hence the defaults.
 */
import { KindredError } from "../../shared/base/errors.js";
import type { EstimationProblem } from "./problem.js";

/** Passes of the fine-tunings on which the default lambda was found. */
const REFERENCE_PASSES = 3;

export interface SurrogateOptions {
  /**
   * lambda_0, relative to the mean squared norm of g, at `referenceExamples` examples.
   * @default 3e-3 where rows have choices (two terms), else 1e-3
   */
  lambda?: number | undefined;
  /** N_0, the number of examples that lambda_0 is meant for. @default 120 */
  referenceExamples?: number | undefined;
  /** Passes over the training rows that the real fine-tuning makes. @default 3, those that lambda_0 is meant for */
  passes?: number | undefined;
  /** Gradient norm to reach, in units where the mean squared norm of g is 1. @default 1e-6 */
  tolerance?: number | undefined;
  /** Newton steps at most. @default 60 */
  maxSteps?: number | undefined;
  signal?: AbortSignal | undefined;
}

export interface SurrogatePlan {
  readonly lambda: number;
  readonly referenceExamples: number;
  readonly passes: number;
  readonly tolerance: number;
  readonly maxSteps: number;
  readonly signal: AbortSignal | undefined;
}

/** The solved surrogates of k subsets. */
export interface SubsetFits {
  /** [k, dim] w_S in the units of the sketches as sent: the margin after tuning is h + g.w. */
  readonly weights: Float64Array;
  /** [k] objective at w_S, nats an example. */
  readonly objective: Float64Array;
  /** [k] gradient norm at w_S, in units where the mean squared norm of g is 1. */
  readonly gradientNorm: Float64Array;
  /** Newton steps taken (the most over the subsets) and Hessian-vector products or factorisations. */
  readonly steps: number;
  readonly products: number;
}

/** Which validation rows to meet which weights: pair p is client `client[p]` under row `weight[p]` of a weight matrix. */
export interface Pairs {
  readonly client: Int32Array;
  readonly weight: Int32Array;
}

/** Solves and evaluates surrogates of one problem. Two exist: exact in float64, and batched on a runtime. */
export interface SurrogateSolver {
  readonly problem: EstimationProblem;
  readonly plan: SurrogatePlan;
  /**
   * @param subsets client indices, not empty; a client at most once a subset
   * @param fold the fold of a cross-fitted problem to hold out
   */
  fit(subsets: readonly ArrayLike<number>[], fold?: number): Promise<SubsetFits>;
  /**
   * Validation losses, nats, of each of the client's validation examples under a weight vector, no forward pass taken.
   * @param weights [k, dim] in the units of the sketches
   * @returns one array a pair, [validation examples of the pair's client]
   */
  exampleLosses(weights: Float64Array, pairs: Pairs): Promise<Float64Array[]>;
  /** Frees what the solver holds on a runtime. */
  close(): Promise<void>;
}

export function compileSurrogate(problem: EstimationProblem, options: SurrogateOptions = {}): SurrogatePlan {
  const plan: SurrogatePlan = {
    lambda: options.lambda ?? (problem.twoTerm ? 3e-3 : 1e-3),
    referenceExamples: options.referenceExamples ?? 120,
    passes: options.passes ?? REFERENCE_PASSES,
    tolerance: options.tolerance ?? 1e-6,
    maxSteps: options.maxSteps ?? 60,
    signal: options.signal,
  };
  const positive = (name: "lambda" | "referenceExamples" | "passes" | "tolerance") => {
    if (!(plan[name] > 0 && Number.isFinite(plan[name])))
      throw new KindredError("invalid_option", `estimation.${name} must be a positive number, got ${plan[name]}`, {});
  };
  positive("lambda");
  positive("referenceExamples");
  positive("passes");
  positive("tolerance");
  return plan;
}

/** @throws {KindredError} `invalid_option` unless the fold is one of the problem's, or absent where it has none */
export function checkFold(problem: EstimationProblem, fold: number | undefined): void {
  const count = problem.folds?.count;
  if (count === undefined ? fold !== undefined : fold === undefined || !(fold >= 0 && fold < count))
    throw new KindredError("invalid_option", `fold ${fold} of a problem with ${count ?? "no"} folds`, {});
}

/** N_S: examples that the subset's clients really train on. */
export function subsetExamples(problem: EstimationProblem, subset: ArrayLike<number>): number {
  let sum = 0;
  for (let s = 0; s < subset.length; s++) sum += problem.trainExamples[subset[s]!]!;
  return sum;
}

/** lambda_S for a subset with N_S examples, relative to the mean squared norm of g. */
export function subsetLambda(plan: SurrogatePlan, examples: number): number {
  return (plan.lambda * plan.referenceExamples * REFERENCE_PASSES) / (examples * plan.passes);
}

/** @throws {KindredError} `invalid_option` for an empty subset, an unknown client or one named twice */
export function checkSubsets(problem: EstimationProblem, subsets: readonly ArrayLike<number>[]): void {
  const seen = new Int32Array(problem.clients.length).fill(-1);
  subsets.forEach((subset, k) => {
    if (subset.length === 0) throw new KindredError("invalid_option", `subset ${k} is empty`, { subset: k });
    for (let s = 0; s < subset.length; s++) {
      const i = subset[s]!;
      if (!Number.isInteger(i) || i < 0 || i >= problem.clients.length || seen[i] === k)
        throw new KindredError("invalid_option", `subset ${k} holds client ${i}, which is unknown or there twice`, {
          subset: k,
          client: i,
        });
      seen[i] = k;
    }
  });
}

/** log(1 + exp(-z)), stable. */
export function logisticLoss(z: number): number {
  return z > 0 ? Math.log1p(Math.exp(-z)) : -z + Math.log1p(Math.exp(z));
}

/** 1 / (1 + exp(-z)), stable. */
export function sigmoid(z: number): number {
  if (z >= 0) return 1 / (1 + Math.exp(-z));
  const e = Math.exp(z);
  return e / (1 + e);
}
