/**
 * The surrogate solved subset by subset in float64: Newton's method with the exact Hessian, Cholesky and a safeguarded step.
 * It serves small cases, the few subsets that float32 cannot bring to the tolerance, and tests of the other solver: a Newton step costs
 * rows x dim^2 / 2 + dim^3 / 6 multiplications.
 *
 * Safeguard: at very negative margins the true curvature p (1 - p) is almost zero (4.5e-5 at h = -10) and a Newton step
 * overshoots by orders of magnitude. There the curvature is replaced by 1 / (2 max(2, |z|)), a quadratic upper bound of the
 * logistic loss (weaker and simpler than Jaakkola and Jordan's tanh(z / 2) / (2 z)), which makes the step a majorisation step
 * that cannot increase the objective.
 *
 * A term of several negatives is a logistic loss of -s, s = log sum exp(-z): its Hessian is that of the logistic loss along the
 * negatives' mean gradient, each weighted by exp(-z - s), plus their weighted covariance, which needs no safeguard.
 */
import { throwIfAborted } from "../../shared/base/errors.js";
import { type EventLoopYield, eventLoopYield } from "../algebra/yield.js";
import { type EstimationProblem, rowWeights, termStarts } from "./problem.js";
import {
  checkFolds,
  checkSubsets,
  compileSurrogate,
  type Pairs,
  type SubsetFits,
  type SurrogateOptions,
  type SurrogatePlan,
  type SurrogateSolver,
  sigmoid,
  subsetExamples,
  subsetLambda,
  termLoss,
} from "./surrogate.js";

/** One subset's rows, with g in units of the problem's scale. */
export interface SubsetRows {
  readonly rows: number;
  readonly dim: number;
  /** [rows, dim] */
  readonly sketch: Float64Array;
  readonly margin: Float64Array;
  /** [terms + 1] first row of each term, then the number of rows. */
  readonly terms: Int32Array;
  /** Weight of a row in the mean over examples: the same for all rows of an example. */
  readonly weight: Float64Array;
  /** lambda_S */
  readonly lambda: number;
}

export function gatherRows(
  problem: EstimationProblem,
  plan: SurrogatePlan,
  subset: ArrayLike<number>,
  lambda: number,
  fold: number | undefined,
): SubsetRows {
  const { dim, scale } = problem;
  let rows = 0;
  for (let s = 0; s < subset.length; s++) rows += problem.train[subset[s]!]!.margin.length;
  const examples = subsetExamples(problem, subset);
  const sketch = new Float64Array(rows * dim);
  const margin = new Float64Array(rows);
  const weight = new Float64Array(rows);
  const terms = [0];
  let at = 0;
  for (let s = 0; s < subset.length; s++) {
    const client = subset[s]!;
    const part = problem.train[client]!;
    for (const start of termStarts(part).subarray(1)) terms.push(at + start);
    margin.set(part.margin, at);
    weight.set(
      rowWeights(problem, client, fold).map((w) => w / examples),
      at,
    );
    for (let x = 0; x < part.sketch.length; x++) sketch[at * dim + x] = part.sketch[x]! / scale;
    at += part.margin.length;
  }
  return {
    rows,
    dim,
    sketch,
    margin,
    terms: Int32Array.from(terms),
    weight,
    lambda: subsetLambda(plan, lambda, examples),
  };
}

interface Evaluation {
  readonly objective: number;
  readonly gradient: Float64Array;
  readonly norm: number;
  readonly z: Float64Array;
  /** Probability of each row's negative among the negatives of its term and the right answer. */
  readonly share: Float64Array;
}

function evaluate(data: SubsetRows, w: Float64Array): Evaluation {
  const { rows, dim, sketch, margin, terms, weight, lambda } = data;
  const z = new Float64Array(rows);
  const gradient = new Float64Array(dim);
  let objective = 0;
  for (let d = 0; d < dim; d++) {
    objective += lambda * w[d]! * w[d]!;
    gradient[d] = 2 * lambda * w[d]!;
  }
  for (let r = 0; r < rows; r++) {
    let dot = margin[r]!;
    for (let d = 0; d < dim; d++) dot += sketch[r * dim + d]! * w[d]!;
    z[r] = dot;
  }
  const share = new Float64Array(rows);
  for (let t = 0; t + 1 < terms.length; t++)
    objective += weight[terms[t]!]! * termLoss(z, terms[t]!, terms[t + 1]!, share);
  for (let r = 0; r < rows; r++) {
    const slope = weight[r]! * share[r]!;
    for (let d = 0; d < dim; d++) gradient[d]! -= slope * sketch[r * dim + d]!;
  }
  return { objective, gradient, norm: Math.hypot(...gradient), z, share };
}

/** Solves (H + 2 lambda I) step = -gradient by Cholesky; H is the Hessian of the mean loss, or an upper bound of it (`majorise`). */
async function newtonStep(
  data: SubsetRows,
  at: Evaluation,
  majorise: boolean,
  yieldToEventLoop: EventLoopYield,
): Promise<Float64Array> {
  const { dim, sketch, terms, weight, lambda } = data;
  const hessian = new Float64Array(dim * dim);
  const add = (c: number, vector: Float64Array): void => {
    for (let i = 0; i < dim; i++) {
      const ci = c * vector[i]!;
      if (ci === 0) continue;
      const row = i * dim;
      for (let j = 0; j <= i; j++) hessian[row + j]! += ci * vector[j]!;
    }
  };
  const curvature = (z: number): number => (majorise ? 1 / (2 * Math.max(2, Math.abs(z))) : sigmoid(z) * sigmoid(-z));
  for (let t = 0; t + 1 < terms.length; t++) {
    await yieldToEventLoop();
    const from = terms[t]!;
    const to = terms[t + 1]!;
    if (weight[from] === 0) continue;
    const gradients = Array.from({ length: to - from }, (_, r) =>
      sketch.subarray((from + r) * dim, (from + r + 1) * dim),
    );
    if (gradients.length === 1) {
      add(weight[from]! * curvature(at.z[from]!), gradients[0]!);
      continue;
    }
    const wrong = at.share.subarray(from, to).reduce((sum, p) => sum + p, 0);
    if (wrong === 0) continue;
    const mean = new Float64Array(dim);
    gradients.forEach((g, r) => {
      const q = at.share[from + r]! / wrong;
      for (let d = 0; d < dim; d++) mean[d]! += q * g[d]!;
    });
    // log(1 + e^s) = -log(1 - wrong), so e^-s = 1 / wrong - 1.
    add(weight[from]! * curvature(Math.log(1 / wrong - 1)), mean);
    gradients.forEach((g, r) => {
      add(
        weight[from]! * at.share[from + r]!,
        g.map((x, d) => x - mean[d]!),
      );
    });
  }
  for (let i = 0; i < dim; i++) hessian[i * dim + i]! += 2 * lambda;
  // In place: the lower triangle becomes L. 2 lambda on the diagonal keeps every pivot positive.
  for (let i = 0; i < dim; i++) {
    await yieldToEventLoop();
    for (let j = 0; j <= i; j++) {
      let sum = hessian[i * dim + j]!;
      for (let k = 0; k < j; k++) sum -= hessian[i * dim + k]! * hessian[j * dim + k]!;
      hessian[i * dim + j] = i === j ? Math.sqrt(Math.max(sum, 1e-300)) : sum / hessian[j * dim + j]!;
    }
  }
  const step = new Float64Array(dim);
  for (let i = 0; i < dim; i++) {
    let sum = -at.gradient[i]!;
    for (let k = 0; k < i; k++) sum -= hessian[i * dim + k]! * step[k]!;
    step[i] = sum / hessian[i * dim + i]!;
  }
  for (let i = dim - 1; i >= 0; i--) {
    let sum = step[i]!;
    for (let k = i + 1; k < dim; k++) sum -= hessian[k * dim + i]! * step[k]!;
    step[i] = sum / hessian[i * dim + i]!;
  }
  return step;
}

export interface ExactFit {
  /** In units of the scaled sketches. */
  readonly weights: Float64Array;
  readonly objective: number;
  readonly gradientNorm: number;
  readonly steps: number;
}

/** Newton's method on one subset. @param start initial weights in scaled units. @default zeros */
export async function fitExactly(
  data: SubsetRows,
  { tolerance, maxSteps }: Pick<SurrogatePlan, "tolerance" | "maxSteps">,
  yieldToEventLoop: EventLoopYield,
  start?: Float64Array,
): Promise<ExactFit> {
  const { dim } = data;
  let w = start?.slice() ?? new Float64Array(dim);
  let now = evaluate(data, w);
  let majorise = start === undefined;
  let steps = 0;
  while (now.norm > tolerance && steps < maxSteps) {
    steps++;
    const step = await newtonStep(data, now, majorise, yieldToEventLoop);
    let slope = 0;
    for (let d = 0; d < dim; d++) slope += step[d]! * now.gradient[d]!;
    let length = 1;
    let next: Evaluation | undefined;
    let trial = w;
    for (let attempt = 0; attempt < 40; attempt++) {
      trial = w.map((x, d) => x + length * step[d]!);
      next = evaluate(data, trial);
      // The last digits of the objective are rounding errors: near the optimum a smaller gradient decides.
      if (next.objective <= now.objective + 1e-4 * length * slope || next.norm <= 0.5 * now.norm) break;
      length /= 4;
    }
    if (next === undefined || (next.objective > now.objective && next.norm >= now.norm)) break;
    majorise = length < 0.5;
    w = trial;
    now = next;
  }
  return { weights: w, objective: now.objective, gradientNorm: now.norm, steps };
}

/** The float64 solver. @param options defaults in `SurrogateOptions` */
export function createReferenceSolver(problem: EstimationProblem, options: SurrogateOptions = {}): SurrogateSolver {
  const plan = compileSurrogate(problem, options);
  const { dim, scale } = problem;
  const rowMargins = (weights: Float64Array, { client, weight }: Pairs) =>
    Array.from(client, (i, p) => {
      const rows = problem.validation[i]!;
      const base = weight[p]! * dim;
      return Float64Array.from(rows.margin, (h, r) => {
        let z = h;
        for (let d = 0; d < dim; d++) z += rows.sketch[r * dim + d]! * weights[base + d]!;
        return z;
      });
    });
  return {
    problem,
    plan,
    async fit(subsets, { folds, lambda, start, tolerance = plan.tolerance, onSolved } = {}): Promise<SubsetFits> {
      checkSubsets(problem, subsets);
      checkFolds(problem, subsets.length, folds);
      const weights = new Float64Array(subsets.length * dim);
      const objective = new Float64Array(subsets.length);
      const gradientNorm = new Float64Array(subsets.length);
      let steps = 0;
      let products = 0;
      const yieldToEventLoop = eventLoopYield(plan.signal);
      for (const [k, subset] of subsets.entries()) {
        throwIfAborted(plan.signal);
        const rows = gatherRows(problem, plan, subset, lambda?.[k] ?? plan.path[0]!, folds?.[k]);
        const from = start?.slice(k * dim, (k + 1) * dim).map((w) => w * scale);
        const fit = await fitExactly(rows, { tolerance, maxSteps: plan.maxSteps }, yieldToEventLoop, from);
        for (let d = 0; d < dim; d++) weights[k * dim + d] = fit.weights[d]! / scale;
        objective[k] = fit.objective;
        gradientNorm[k] = fit.gradientNorm;
        steps = Math.max(steps, fit.steps);
        products += fit.steps;
        onSolved?.(1);
      }
      return { weights, objective, gradientNorm, steps, products };
    },
    async exampleLosses(weights, pairs) {
      return rowMargins(weights, pairs).map((margins, p) => {
        const rows = problem.validation[pairs.client[p]!]!;
        const losses = new Float64Array(rows.examples);
        const terms = termStarts(rows);
        for (let t = 0; t + 1 < terms.length; t++)
          losses[rows.example[terms[t]!]!]! += termLoss(margins, terms[t]!, terms[t + 1]!);
        return losses;
      });
    },
    rowMargins: async (weights, pairs) => rowMargins(weights, pairs),
    async close() {},
  };
}
