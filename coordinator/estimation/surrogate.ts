/**
 * The surrogate of fine-tuning on a subset S of clients (Li et al. 2025, arXiv 2505.21930, section 3; the method of first-order
 * fine-tuning estimation):
 *
 *   w_S = argmin_w (1 / N_S) sum over examples and their terms of log(1 + sum over rows of exp(-(h + g.w))) + lambda_S ||w||^2
 *
 * This file holds the parts common to all solvers: options, lambda, results. It knows nothing of the method of solution.
 *
 * lambda is relative to the mean squared norm of g (so alpha / r, A and the projection's scale do not matter) and falls with
 * the examples of the subset, lambda_S = lambda_0 * N_0 / N_S: with equal passes over the data the number of training steps
 * grows with N_S, and early stopping regularises less: a gradient flow stopped at time t acts as a ridge of strength 1 / t (Ali,
 * Kolter and Tibshirani 2019). On twelve real sets with 120 training rows each, the falling lambda ranks the true differences
 * between one and all sets' adapters with a correlation of 0.45 against -0.15 for a fixed one.
 *
 * Real training keeps the round with the best validation loss, so its regularisation is tuned per group: a group whose clients
 * agree trains for long, one whose clients conflict stops early. lambda_0 is therefore a path, from large to small, and each subset
 * takes the value with the lowest loss on the held-out examples of its members (held-out.ts). No single value suffices: on sketches of
 * a small real model, the best value for four planted groups is 1e-5 and for all clients together 3e-4, and where lambda is large
 * enough for the latter the groups gain little.
 */
import { KindredError } from "../../shared/base/errors.js";
import type { EstimationProblem } from "./problem.js";

/** The default path, as multiples of the largest lambda_0: 3e-3 where rows have choices (two terms), else 1e-3. */
const PATH = [1, 0.1, 0.01, 0.001];

export interface SurrogateOptions {
  /**
   * The path of lambda_0, relative to the mean squared norm of g, at `referenceExamples` examples; a number is a path of one.
   * @default four values, each a tenth of the one before, from 3e-3 where rows have choices (two terms), else from 1e-3
   */
  lambda?: number | readonly number[] | undefined;
  /** N_0, the number of examples at which lambda_S is lambda_0. @default 120 */
  referenceExamples?: number | undefined;
  /** Gradient norm to reach, in units where the mean squared norm of g is 1. @default 1e-6 */
  tolerance?: number | undefined;
  /** Largest number of Newton steps. @default 60 */
  maxSteps?: number | undefined;
  signal?: AbortSignal | undefined;
}

export interface SurrogatePlan {
  /** lambda_0, descending, at least one. */
  readonly path: readonly number[];
  readonly referenceExamples: number;
  readonly tolerance: number;
  readonly maxSteps: number;
  readonly signal: AbortSignal | undefined;
}

/** The solved surrogates of k subsets. */
export interface SubsetFits {
  /** [k, dim] w_S in the units of the sketches as sent: the margin after tuning is h + g.w. */
  readonly weights: Float64Array;
  /** [k] objective at w_S, nats per example. */
  readonly objective: Float64Array;
  /** [k] gradient norm at w_S, in units where the mean squared norm of g is 1. */
  readonly gradientNorm: Float64Array;
  /** Newton steps taken, the most over the subsets. */
  readonly steps: number;
  /** Hessian-vector products, or factorisations. */
  readonly products: number;
}

export interface FitOptions {
  /** [k] fold that each subset holds out, where the problem is cross-fitted; a subset may occur once per fold. */
  readonly folds?: ArrayLike<number> | undefined;
  /** [k] lambda_0 of each subset. @default the first of the path */
  readonly lambda?: ArrayLike<number> | undefined;
  /** [k, dim] weights to start from, in the units of the sketches. @default zeros */
  readonly start?: Float64Array | undefined;
  /** @default the plan's */
  readonly tolerance?: number | undefined;
  /** Told of subsets as they are solved. */
  readonly onSolved?: ((subsets: number) => void) | undefined;
}

/** Pairs of a client and a weight vector: pair p is client `client[p]` under row `weight[p]` of a weight matrix. */
export interface Pairs {
  readonly client: Int32Array;
  readonly weight: Int32Array;
}

/** Solves and evaluates surrogates of one problem. There are two: exact in float64, and batched on a runtime. */
export interface SurrogateSolver {
  readonly problem: EstimationProblem;
  readonly plan: SurrogatePlan;
  /** @param subsets client indices, not empty; a client at most once per subset */
  fit(subsets: readonly ArrayLike<number>[], options?: FitOptions): Promise<SubsetFits>;
  /**
   * Losses, nats, of each validation example of a pair's client under the pair's weights, without a forward pass.
   * @param weights [k, dim] in the units of the sketches
   * @returns one array per pair, [validation examples of the pair's client]
   */
  exampleLosses(weights: Float64Array, pairs: Pairs): Promise<Float64Array[]>;
  /**
   * Margins h + g.w of the rows of each pair's client's validation examples.
   * @param weights as for `exampleLosses`
   * @returns one array per pair, [rows]
   */
  rowMargins(weights: Float64Array, pairs: Pairs): Promise<Float64Array[]>;
  /** Frees the solver's tensors and graphs on a runtime. */
  close(): Promise<void>;
}

export function compileSurrogate(problem: EstimationProblem, options: SurrogateOptions = {}): SurrogatePlan {
  const { lambda = PATH.map((factor) => factor * (problem.twoTerm ? 3e-3 : 1e-3)) } = options;
  const plan: SurrogatePlan = {
    path: typeof lambda === "number" ? [lambda] : lambda.toSorted((a, b) => b - a),
    referenceExamples: options.referenceExamples ?? 120,
    tolerance: options.tolerance ?? 1e-6,
    maxSteps: options.maxSteps ?? 60,
    signal: options.signal,
  };
  const positive = (name: string, value: number | undefined) => {
    if (value === undefined || !(value > 0 && Number.isFinite(value)))
      throw new KindredError("invalid_option", `estimation.${name} must be a positive number, got ${value}`, {});
  };
  for (const value of plan.path.length > 0 ? plan.path : [undefined]) positive("lambda", value);
  positive("referenceExamples", plan.referenceExamples);
  positive("tolerance", plan.tolerance);
  return plan;
}

/** @throws {KindredError} `invalid_option` unless every subset's fold is one of the problem's, or absent where it has none */
export function checkFolds(problem: EstimationProblem, subsets: number, folds: ArrayLike<number> | undefined): void {
  const count = problem.folds?.count;
  for (let k = 0; k < subsets; k++) {
    const fold = folds?.[k];
    if (count === undefined ? fold !== undefined : fold === undefined || !(fold >= 0 && fold < count))
      throw new KindredError("invalid_option", `fold ${fold} of a problem with ${count ?? "no"} folds`, {});
  }
}

/** N_S: the true number of training examples of the subset's clients. */
export function subsetExamples(problem: EstimationProblem, subset: ArrayLike<number>): number {
  let sum = 0;
  for (let s = 0; s < subset.length; s++) sum += problem.trainExamples[subset[s]!]!;
  return sum;
}

/** lambda_S for a subset with N_S examples, relative to the mean squared norm of g. @param lambda lambda_0 */
export function subsetLambda(plan: SurrogatePlan, lambda: number, examples: number): number {
  return (lambda * plan.referenceExamples) / examples;
}

/** @throws {KindredError} `invalid_option` for an empty subset, an unknown client or one named twice */
export function checkSubsets(problem: EstimationProblem, subsets: readonly ArrayLike<number>[]): void {
  const seen = new Int32Array(problem.clients.length).fill(-1);
  subsets.forEach((subset, k) => {
    if (subset.length === 0) throw new KindredError("invalid_option", `subset ${k} is empty`, { subset: k });
    for (let s = 0; s < subset.length; s++) {
      const i = subset[s]!;
      if (!Number.isInteger(i) || i < 0 || i >= problem.clients.length || seen[i] === k)
        throw new KindredError("invalid_option", `subset ${k} contains client ${i}, which is unknown or repeated`, {
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

/**
 * log(1 + sum of exp(-z)) over the margins of one term, stable.
 * @param share receives the probability of each negative, exp(-z) / (1 + sum), from index `from`
 */
export function termLoss(z: ArrayLike<number>, from: number, to: number, share?: Float64Array): number {
  if (to === from + 1) {
    if (share !== undefined) share[from] = sigmoid(-z[from]!);
    return logisticLoss(z[from]!);
  }
  let least = 0;
  for (let r = from; r < to; r++) least = Math.min(least, z[r]!);
  let sum = Math.exp(least);
  for (let r = from; r < to; r++) sum += Math.exp(least - z[r]!);
  if (share !== undefined) for (let r = from; r < to; r++) share[r] = Math.exp(least - z[r]!) / sum;
  return Math.log(sum) - least;
}
