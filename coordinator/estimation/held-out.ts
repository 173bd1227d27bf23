/**
 * Surrogates of subsets fitted with each fold of their examples held out in turn, at the lambda of the plan's path with the lowest loss
 * on the held-out examples of their members. It knows nothing of the use of the values.
 */
import { heldOutLosses } from "./evaluate.js";
import type { Pairs, SurrogateSolver } from "./surrogate.js";

/** Surrogates of k subsets, each at the lambda of the path with the lowest held-out loss of its members. */
export interface HeldOutFits {
  /** [k, dim] in the units of the sketches: one matrix, or one per held-out fold. */
  readonly weights: readonly Float64Array[];
  /** Held-out losses, nats, of the subset's members in its order: [examples] each. */
  readonly losses: readonly (readonly Float64Array[])[];
  /** [k] lambda_0 chosen. */
  readonly lambda: Float64Array;
  /** [k] the largest over the folds, in units where the mean squared norm of g is 1. */
  readonly gradientNorm: Float64Array;
  /** Newton steps (the most over the subsets), over the path and all folds. */
  readonly steps: number;
  /** Hessian-vector products over the path and all folds. */
  readonly products: number;
}

/** For each of k subsets, the known surrogate of a subset that differs little. */
export interface Neighbours {
  /** [k, dim], one per fold. */
  readonly weights: readonly Float64Array[];
  /** [k] */
  readonly lambda: Float64Array;
}

/**
 * Gradient norm of surrogates that are solved from a neighbour's weights. A move that is accepted gains hundredths of a nat, and the
 * accepted partition is solved again.
 */
const NEARBY = 1e-4;
/**
 * Gradient norm of the fits that choose the lambda. At 1e-3 a fit of 50 clients is so far from its optimum that small lambdas look too
 * good, as with early stopping: one planted group of ten chose 1e-5 and lost 0.015 nats of 0.216. 1e-4 takes no more products.
 */
const COARSE = 1e-4;
/**
 * Gradient norm of the first fit at a smaller lambda. A fit stopped early makes the lambda look too good, so a lambda that is worse here
 * is worse at the optimum.
 */
const COARSER = 1e-3;

/**
 * Solves the surrogates of the subsets along the plan's path, with each fold held out in turn where the problem has folds, and
 * keeps for every subset the lambda with the lowest loss on all held-out examples of its members together. A subset leaves
 * the path once a smaller lambda is worse, as training ends once validation worsens.
 *
 * The reported losses are also those that chose the lambda: the best of at most four, over all held-out examples of the group. That
 * biases a group's loss downwards by a fraction of the standard error of the difference between neighbouring lambdas. The bias is small
 * since these losses are paired and the fits nearly the same. More groups mean more choices, so it favours splits, by less than the
 * margin that grouping requires of a split.
 *
 * @param onShare told how far the fits are, 0 .. 1
 * @param from solves from these weights at their lambda, to a coarser gradient norm, instead of following the path: a fifth of the work
 */
export async function fitHeldOut(
  solver: SurrogateSolver,
  subsets: readonly ArrayLike<number>[],
  from?: Neighbours,
  onShare?: (share: number) => void,
): Promise<HeldOutFits> {
  const { tolerance, path } = solver.plan;
  const solves = subsets.length * (solver.problem.folds?.count ?? 1);
  const stages = from === undefined && path.length > 1 ? 2 * path.length : 1;
  const work: Work = { steps: 0, products: 0, progress: new PathProgress(stages, solves, onShare) };
  let last: FoldFitOptions = { lambda: new Float64Array(subsets.length).fill(path[0]!), tolerance };
  if (from !== undefined)
    last = { lambda: from.lambda, tolerance: Math.max(NEARBY, tolerance), start: from.weights, moves: true };
  else if (path.length > 1) {
    const chosen = await followPath(solver, subsets, work);
    last = { lambda: chosen.lambda, tolerance, start: chosen.weights };
  }
  work.progress.begin(stages - 1, 0);
  const { weights, gradientNorm } = await fitFolds(solver, subsets, last, work);
  const losses = await memberLosses(solver, subsets, weights);
  const { steps, products } = work;
  return { weights, losses, lambda: Float64Array.from(last.lambda), gradientNorm, steps, products };
}

/** How far the fits are: every subset is solved at each stage of the path and once more at the end, each time with every fold. */
class PathProgress {
  private stage = 0;
  private solved = 0;

  /** @param solves of each stage. @param onShare told of the share of all solves, 0 .. 1 */
  constructor(
    private readonly stages: number,
    private readonly solves: number,
    private readonly onShare: ((share: number) => void) | undefined,
  ) {}

  /** @param skipped solves of the stage that are not needed: their subsets have left the path */
  begin(stage: number, skipped: number): void {
    this.stage = stage;
    this.solved = 0;
    this.add(skipped);
  }

  add(solved: number): void {
    this.solved += solved;
    this.onShare?.((this.stage + Math.min(1, this.solved / this.solves)) / this.stages);
  }
}

/** Newton steps (the most over the subsets) and Hessian-vector products so far. */
interface Work {
  steps: number;
  products: number;
  readonly progress: PathProgress;
}

/** The best lambda of the plan's path for each subset, and its weights there, to `COARSE`. */
async function followPath(
  solver: SurrogateSolver,
  subsets: readonly ArrayLike<number>[],
  work: Work,
): Promise<Neighbours> {
  const { path, tolerance } = solver.plan;
  const { dim, folds } = solver.problem;
  const weights = Array.from({ length: folds?.count ?? 1 }, () => new Float64Array(subsets.length * dim));
  const lambda = new Float64Array(subsets.length).fill(path[0]!);
  const lowest = new Float64Array(subsets.length).fill(Number.POSITIVE_INFINITY);
  let open = subsets.map((_, k) => k);
  for (const [at, value] of path.entries()) {
    const stages = at === 0 ? [COARSE] : [COARSER, COARSE];
    let start = at === 0 ? undefined : weights.map((all) => taken(all, open, dim));
    for (const [stage, coarse] of stages.entries()) {
      const some = open.map((k) => subsets[k]!);
      work.progress.begin(at === 0 ? 0 : 2 * at - 1 + stage, (subsets.length - open.length) * weights.length);
      const fits = await fitFolds(
        solver,
        some,
        {
          lambda: new Float64Array(open.length).fill(value),
          tolerance: Math.max(coarse, tolerance),
          start,
          moves: stage === 0,
        },
        work,
      );
      const losses = await memberLosses(solver, some, fits.weights);
      const better = open
        .map((k, place) => ({ k, place, loss: pooledMean(losses[place]!) }))
        .filter(({ k, loss }) => loss < lowest[k]!);
      open = better.map(({ k }) => k);
      const places = better.map(({ place }) => place);
      start = fits.weights.map((all) => taken(all, places, dim));
      if (open.length === 0) return { weights, lambda };
      if (stage < stages.length - 1) continue;
      for (const [next, { k, loss }] of better.entries()) {
        lowest[k] = loss;
        lambda[k] = value;
        start.forEach((all, fold) => {
          weights[fold]!.set(all.subarray(next * dim, (next + 1) * dim), k * dim);
        });
      }
    }
  }
  return { weights, lambda };
}

interface FoldFitOptions {
  readonly lambda: Float64Array;
  readonly tolerance: number;
  /** [k, dim] weights to start from, one per fold. @default zeros */
  readonly start?: readonly Float64Array[] | undefined;
  /**
   * Whether `start` is of another lambda or another subset. Any two folds share most examples, so their optima move alike: the first
   * fold is solved first, and the others start where its move would lead them.
   */
  readonly moves?: boolean;
}

interface FoldFits {
  /** One matrix per fold; one matrix without folds. */
  readonly weights: readonly Float64Array[];
  /** The largest over the folds. */
  readonly gradientNorm: Float64Array;
}

async function fitFolds(
  solver: SurrogateSolver,
  subsets: readonly ArrayLike<number>[],
  { lambda, tolerance, start, moves = start === undefined }: FoldFitOptions,
  work: Work,
): Promise<FoldFits> {
  const { dim, folds } = solver.problem;
  const count = folds?.count ?? 1;
  const size = subsets.length * dim;
  const weights: Float64Array[] = [];
  const gradientNorm = new Float64Array(subsets.length);
  /** The subsets of all folds are solved together, so that a product reads the rows once for all folds. */
  const fit = async (some: readonly number[], from: readonly Float64Array[] | undefined): Promise<void> => {
    const fits = await solver.fit(
      some.flatMap(() => subsets),
      {
        lambda: joined(some.map(() => lambda)),
        tolerance,
        start: from && joined(from),
        ...(folds && { folds: some.flatMap((fold) => subsets.map(() => fold)) }),
        onSolved: (solved) => work.progress.add(solved),
      },
    );
    work.steps += fits.steps;
    work.products += fits.products;
    fits.gradientNorm.forEach((norm, at) => {
      const k = at % subsets.length;
      gradientNorm[k] = Math.max(gradientNorm[k]!, norm);
    });
    for (const [at] of some.entries()) weights.push(fits.weights.slice(at * size, (at + 1) * size));
  };
  const all = Array.from({ length: count }, (_, fold) => fold);
  if (count === 1 || !moves) await fit(all, start);
  else {
    const [first, ...rest] = all;
    await fit([first!], start?.slice(0, 1));
    const to = weights[0]!;
    await fit(
      rest,
      rest.map((fold) => (start === undefined ? to : moved(start[fold]!, start[0]!, to))),
    );
  }
  return { weights, gradientNorm };
}

/** `vectors` + `to` - `from`. */
const moved = (vectors: Float64Array, from: Float64Array, to: Float64Array): Float64Array =>
  vectors.map((value, at) => value + to[at]! - from[at]!);

function joined(parts: readonly Float64Array[]): Float64Array {
  const all = new Float64Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
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
  const losses = await heldOutLosses(solver, weights, memberPairs(subsets), subsets);
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
