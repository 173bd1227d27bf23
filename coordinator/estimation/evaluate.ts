/**
 * f_i(S): how client i fares, by estimate, after tuning on the subset S. From margins and sketches of i's held-out examples under
 * w_S alone: no forward pass, nothing mapped back to the model (P w would carry noise about nine times the signal). Held-out
 * examples are the validation rows, or all rows fold by fold where the problem is cross-fitted. It knows nothing of what the
 * values are used for.
 *
 * Convention: higher is better, so f is minus the mean loss, nats an example.
 */
import type { Level } from "./problem.js";
import type { FitOptions, Pairs, SubsetFits, SurrogateSolver } from "./surrogate.js";

/** Surrogates of k subsets, each at the lambda of the path that its members' held-out examples like best. */
export interface HeldOutFits {
  /** [k, dim] in the sketches' units: one matrix, or one a held-out fold. */
  readonly weights: readonly Float64Array[];
  /** Held-out losses, nats, of the subset's members in its order: [examples] each. */
  readonly losses: readonly (readonly Float64Array[])[];
  /** [k] lambda_0 chosen. */
  readonly lambda: Float64Array;
  /** [k] the largest over the folds, in units where the mean squared norm of g is 1. */
  readonly gradientNorm: Float64Array;
  /** Newton steps (the most over the subsets) and Hessian-vector products, over the path and all folds. */
  readonly steps: number;
  readonly products: number;
}

/** Where the surrogates of subsets are known that differ little: one of them for each of the k. */
export interface Neighbours {
  /** [k, dim], one a fold. */
  readonly weights: readonly Float64Array[];
  /** [k] */
  readonly lambda: Float64Array;
}

/**
 * Gradient norm of surrogates that are solved from a neighbour's: moves gain hundredths of a nat or are refused, and what is
 * kept is solved again.
 */
const NEARBY = 1e-4;
/**
 * Gradient norm to which a path is followed before the lambda is chosen. At 1e-3 a fit of 50 clients is so far from its optimum that it
 * flatters small lambdas, as stopping early does: one planted group of ten took 1e-5 and lost 0.015 nats of 0.216; this takes no
 * more products.
 */
const COARSE = 1e-4;

/**
 * Solves the surrogates of the subsets along the plan's path, with each fold held out in turn where the problem has folds, and
 * keeps for every subset the lambda with the lowest loss on all held-out examples of its own members together. A subset leaves
 * the path once a smaller lambda does worse, as training ends once validation worsens.
 *
 * The losses reported are those that chose: best of at most four, over all held-out examples of the group. That flatters a
 * group by a fraction of the standard error of the difference between neighbouring lambdas, which is small since these
 * losses are paired and nearly the same fits; the more groups, the more choices, so it leans towards splitting, by less than what
 * grouping asks of a split.
 *
 * @param from solves from these weights at their lambda, to a coarser gradient norm, in place of the path: a fifth of the work
 */
export async function fitHeldOut(
  solver: SurrogateSolver,
  subsets: readonly ArrayLike<number>[],
  from?: Neighbours,
): Promise<HeldOutFits> {
  const { problem, plan } = solver;
  const { dim } = problem;
  const folds = problem.folds?.count ?? 1;
  const weights = from?.weights ?? Array.from({ length: folds }, () => new Float64Array(subsets.length * dim));
  const lambda = from?.lambda ?? new Float64Array(subsets.length).fill(plan.path[0]!);
  const gradientNorm = new Float64Array(subsets.length);
  let steps = 0;
  let products = 0;
  const counted = (fits: readonly SubsetFits[]) => {
    for (const fit of fits) {
      steps += fit.steps;
      products += fit.products;
    }
    return fits;
  };
  if (from === undefined && plan.path.length > 1) {
    const lowest = new Float64Array(subsets.length).fill(Number.POSITIVE_INFINITY);
    let open = subsets.map((_, k) => k);
    for (const value of plan.path) {
      const some = open.map((k) => subsets[k]!);
      const fits = counted(
        await fitFolds(solver, some, {
          lambda: new Float64Array(open.length).fill(value),
          start: value === plan.path[0] ? undefined : weights.map((all) => taken(all, open, dim)),
          tolerance: Math.max(COARSE, plan.tolerance),
        }),
      );
      const losses = await memberLosses(
        solver,
        some,
        fits.map((fit) => fit.weights),
      );
      open = open.filter((k, at) => {
        const loss = pooledMean(losses[at]!);
        if (loss >= lowest[k]!) return false;
        lowest[k] = loss;
        lambda[k] = value;
        fits.forEach((fit, fold) => {
          weights[fold]!.set(fit.weights.subarray(at * dim, (at + 1) * dim), k * dim);
        });
        return true;
      });
      if (open.length === 0) break;
    }
  }
  const start = from !== undefined || plan.path.length > 1 ? weights : undefined;
  const tolerance = from === undefined ? undefined : Math.max(NEARBY, plan.tolerance);
  const fits = counted(await fitFolds(solver, subsets, { lambda, start, tolerance }));
  for (const fit of fits)
    fit.gradientNorm.forEach((norm, k) => {
      gradientNorm[k] = Math.max(gradientNorm[k]!, norm);
    });
  const final = fits.map((fit) => fit.weights);
  return {
    weights: final,
    losses: await memberLosses(solver, subsets, final),
    lambda,
    gradientNorm,
    steps,
    products,
  };
}

/** One set of fits, or one a held-out fold. */
async function fitFolds(
  solver: SurrogateSolver,
  subsets: readonly ArrayLike<number>[],
  { start, ...options }: Omit<FitOptions, "fold" | "start"> & { start?: readonly Float64Array[] | undefined },
): Promise<SubsetFits[]> {
  const { folds } = solver.problem;
  const fits: SubsetFits[] = [];
  for (let fold = 0; fold < (folds?.count ?? 1); fold++)
    fits.push(await solver.fit(subsets, { ...options, fold: folds && fold, start: start?.[fold] }));
  return fits;
}

/** Rows of a [k, dim] matrix. */
function taken(matrix: Float64Array, rows: readonly number[], dim: number): Float64Array {
  const out = new Float64Array(rows.length * dim);
  rows.forEach((row, at) => {
    out.set(matrix.subarray(row * dim, (row + 1) * dim), at * dim);
  });
  return out;
}

async function memberLosses(
  solver: SurrogateSolver,
  subsets: readonly ArrayLike<number>[],
  weights: readonly Float64Array[],
): Promise<Float64Array[][]> {
  const losses = await heldOutLosses(solver, weights, memberPairs(subsets));
  let at = 0;
  return subsets.map((subset) => {
    at += subset.length;
    return losses.slice(at - subset.length, at);
  });
}

/** Mean over all examples of all members. */
function pooledMean(losses: readonly Float64Array[]): number {
  let sum = 0;
  let count = 0;
  for (const examples of losses) {
    for (const loss of examples) sum += loss;
    count += examples.length;
  }
  return sum / count;
}

/** f_i(S) for i in S: one array a subset, in its order. @param half sees that half of the held-out examples alone */
export function memberValues({ losses }: HeldOutFits, half?: Half): Float64Array[] {
  return losses.map((members) => Float64Array.from(members, (examples) => -mean(halfOf(examples, half))));
}

/**
 * Held-out losses of (client, weight vector) pairs, nats, at the level the problem is calibrated to: of each of the client's
 * held-out examples.
 * @param weights [k, dim], one matrix a fold (one alone without folds). @returns one array a pair
 */
export async function heldOutLosses(
  solver: SurrogateSolver,
  weights: readonly Float64Array[],
  pairs: Pairs,
): Promise<Float64Array[]> {
  const { folds, levels } = solver.problem;
  const levelled = (losses: readonly Float64Array[]): Float64Array[] =>
    losses.map((examples, p) => atLevel(levels?.[pairs.client[p]!], examples));
  if (folds === undefined) return levelled(await solver.exampleLosses(weights[0]!, pairs));
  const result = Array.from(pairs.client, (i) => new Float64Array(folds.of[i]!.length));
  for (let fold = 0; fold < folds.count; fold++) {
    const losses = await solver.exampleLosses(weights[fold]!, pairs);
    losses.forEach((examples, p) => {
      const of = folds.of[pairs.client[p]!]!;
      for (let e = 0; e < of.length; e++) if (of[e] === fold) result[p]![e] = examples[e]!;
    });
  }
  return levelled(result);
}

/** Losses of one client's examples, calibrated where that is asked for. */
export function atLevel(level: Level | undefined, losses: Float64Array): Float64Array {
  if (level === undefined) return losses;
  const { scale, offset } = level;
  return losses.map((loss) => scale * loss + offset);
}

/** All (member, subset) pairs, subset by subset. */
function memberPairs(subsets: readonly ArrayLike<number>[]): Pairs {
  const client: number[] = [];
  const weight: number[] = [];
  subsets.forEach((subset, k) => {
    for (let s = 0; s < subset.length; s++) {
      client.push(subset[s]!);
      weight.push(k);
    }
  });
  return { client: Int32Array.from(client), weight: Int32Array.from(weight) };
}

/** Which half of a client's held-out examples: what one half suggested is believed only where the other half agrees. */
export type Half = 0 | 1;

/** Every second of a client's examples; all of them where there is only one. */
export function halfOf(examples: Float64Array, half: Half | undefined): Float64Array {
  if (half === undefined || examples.length < 2) return examples;
  return examples.filter((_, at) => at % 2 === half);
}

export function mean(values: Float64Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}
