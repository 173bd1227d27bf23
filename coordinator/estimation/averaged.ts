/**
 * Surrogates over several independent projections of the same gradients: the surrogate of each projection is solved by itself, and an
 * example's margin is h plus the mean of g.w over the projections, so that their noise averages out before f is computed.
 * A row of the problem, and of a weight matrix, holds the projections one after the other; callers need not know.
 *
 * The noise falls as expected: with 1, 2 and 4 projections to 100 numbers f_i(S) scatters over seeds by 0.42, 0.29 and 0.19 nats
 * (six real sets of labels, a model of 3 million parameters). But narrow projections also share a systematic error, which averaging
 * keeps: with 400 numbers in all, one projection errs by 0.39 nats (root mean square), two by 0.54, four by 0.71, and one ranks
 * joint training best. On planted sketches they are alike (0.032 to 0.036), and only without choices did averaging win (0.0030 against
 * 0.0019). Hence the default is one projection (benchmarks/projections).
 *
 * Margins are averaged, not losses: the noise of a margin raises its loss (log(1 + exp(-z)) is convex), and the mean of raised
 * losses would stay raised with any number of projections.
 */
import { KindredError } from "../../shared/base/errors.js";
import type { LogisticRows } from "../../shared/sketch/types.js";
import { type EstimationProblem, termStarts } from "./problem.js";
import {
  type FitOptions,
  type Pairs,
  type SubsetFits,
  type SurrogatePlan,
  type SurrogateSolver,
  termLoss,
} from "./surrogate.js";

/**
 * @param projections number of projections in each row of the problem; 1 opens the problem itself
 * @param open opens the solver of one projection
 * @throws {KindredError} `shape_mismatch` where the rows' width is not a multiple of the number
 */
export async function createAveragedSolver(
  problem: EstimationProblem,
  projections: number,
  open: (part: EstimationProblem) => Promise<SurrogateSolver>,
): Promise<SurrogateSolver> {
  if (projections === 1) return open(problem);
  if (problem.dim % projections !== 0)
    throw new KindredError(
      "shape_mismatch",
      `sketch width: must be a multiple of the ${projections} projections, got ${problem.dim}`,
      { dim: problem.dim, projections },
    );
  const parts: SurrogateSolver[] = [];
  try {
    for (let p = 0; p < projections; p++) parts.push(await open(partOf(problem, projections, p)));
  } catch (error) {
    for (const part of parts) await part.close();
    throw error;
  }
  return new AveragedSolver(problem, parts[0]!.plan, parts);
}

/** The problem of projection p alone. */
function partOf(problem: EstimationProblem, projections: number, p: number): EstimationProblem {
  const dim = problem.dim / projections;
  const part = (rows: LogisticRows): LogisticRows => ({
    ...rows,
    dim,
    sketch: blocks(rows.sketch, projections, p, dim),
  });
  const train = problem.train.map(part);
  return {
    ...problem,
    dim,
    // Each projection preserves the norm, so that all share one unit and one lambda.
    scale: problem.scale / Math.sqrt(projections),
    train,
    validation: problem.folds === undefined ? problem.validation.map(part) : train,
  };
}

/** Block p of every row of a [rows, projections * dim] matrix. */
function blocks<A extends Float32Array | Float64Array>(matrix: A, projections: number, p: number, dim: number): A {
  const rows = matrix.length / projections / dim;
  const out = matrix.slice(0, rows * dim) as A;
  for (let r = 0; r < rows; r++) {
    const from = (r * projections + p) * dim;
    out.set(matrix.subarray(from, from + dim), r * dim);
  }
  return out;
}

class AveragedSolver implements SurrogateSolver {
  private readonly terms: readonly Int32Array[];

  constructor(
    readonly problem: EstimationProblem,
    readonly plan: SurrogatePlan,
    private readonly parts: readonly SurrogateSolver[],
  ) {
    this.terms = problem.validation.map(termStarts);
  }

  async fit(
    subsets: readonly ArrayLike<number>[],
    { start, onSolved, ...options }: FitOptions = {},
  ): Promise<SubsetFits> {
    const { parts } = this;
    const { dim } = parts[0]!.problem;
    const weights = new Float64Array(subsets.length * this.problem.dim);
    const objective = new Float64Array(subsets.length);
    const gradientNorm = new Float64Array(subsets.length);
    let steps = 0;
    let products = 0;
    for (const [p, part] of parts.entries()) {
      const fits = await part.fit(subsets, {
        ...options,
        start: start && blocks(start, parts.length, p, dim),
        onSolved: onSolved && ((solved) => onSolved(solved / parts.length)),
      });
      subsets.forEach((_, k) => {
        weights.set(fits.weights.subarray(k * dim, (k + 1) * dim), (k * parts.length + p) * dim);
        objective[k]! += fits.objective[k]! / parts.length;
        gradientNorm[k] = Math.max(gradientNorm[k]!, fits.gradientNorm[k]!);
      });
      steps = Math.max(steps, fits.steps);
      products += fits.products;
    }
    return { weights, objective, gradientNorm, steps, products };
  }

  async rowMargins(weights: Float64Array, pairs: Pairs): Promise<Float64Array[]> {
    const { parts } = this;
    const { dim } = parts[0]!.problem;
    const margins = Array.from(pairs.client, (i) => new Float64Array(this.problem.validation[i]!.margin.length));
    for (const [p, part] of parts.entries()) {
      const found = await part.rowMargins(blocks(weights, parts.length, p, dim), pairs);
      margins.forEach((mean, pair) => {
        found[pair]!.forEach((margin, r) => {
          mean[r]! += margin / parts.length;
        });
      });
    }
    return margins;
  }

  async exampleLosses(weights: Float64Array, pairs: Pairs): Promise<Float64Array[]> {
    const margins = await this.rowMargins(weights, pairs);
    return margins.map((own, pair) => {
      const i = pairs.client[pair]!;
      const { examples, example } = this.problem.validation[i]!;
      const terms = this.terms[i]!;
      const losses = new Float64Array(examples);
      for (let t = 0; t + 1 < terms.length; t++)
        losses[example[terms[t]!]!]! += termLoss(own, terms[t]!, terms[t + 1]!);
      return losses;
    });
  }

  async close(): Promise<void> {
    for (const part of this.parts) await part.close();
  }
}
