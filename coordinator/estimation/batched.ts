/**
 * The surrogates of many subsets solved together on a runtime: truncated Newton (conjugate gradients for the step, Dembo,
 * Eisenstat and Steihaug 1982), all subsets in lockstep. One graph run gives a gradient, or a Hessian-vector product, of every
 * subset; vectors of [subsets, dim] are combined here in float64.
 *
 * - Preconditioner: the sketches are rotated once to the principal axes of a pooled sample, where the Hessian of any subset is
 *   close to diagonal; its true diagonal in that basis, which a gradient run gives for next to nothing, preconditions.
 * - Safeguard: the majorising curvature where Newton overshoots (see reference.ts), and a step length by the slope along the
 *   step, since float32 objectives no longer tell better from worse near the end.
 * - Subsets that are done leave the batch. The few that float32 cannot bring to the tolerance (margins in the thousands) are
 *   finished in float64 by reference.ts.
 *
 * It knows nothing of which runtime it is, nor of affinities or groups.
 */
import { EigenvalueDecomposition, Matrix } from "ml-matrix";
import { throwIfAborted } from "../../shared/base/errors.js";
import type { Executable, ResidentTensor, Runtime } from "../../shared/runtimes/types.js";
import type { LogisticRows } from "../../shared/sketch/types.js";
import {
  gradientGraph,
  type Layout,
  layOut,
  lossGraph,
  productGraph,
  relocate,
  relocateGraph,
  rotationGraph,
  type Sizes,
} from "./batch.js";
import { type EstimationProblem, rowWeights } from "./problem.js";
import { fitExactly, gatherRows } from "./reference.js";
import {
  checkFold,
  checkSubsets,
  compileSurrogate,
  type FitOptions,
  type Pairs,
  type SubsetFits,
  type SurrogateOptions,
  type SurrogatePlan,
  type SurrogateSolver,
  subsetExamples,
  subsetLambda,
} from "./surrogate.js";

/** Numbers of the largest tensor [clients, columns, max(rows, dim)] of a batch: 64 MB, of which a run holds about eight. */
const BATCH_NUMBERS = 16_000_000;
/** Rows of the pooled sample that gives the principal axes: more would not change the count of products. */
const AXES_ROWS = 1600;
/** Above this width the axes would take longer to find (dim^3: 3 s at 800) than they save. */
const MOST_ROTATED = 1024;
/** Subsets finished without a break: 64 x 400^2 multiplications are about 15 ms. */
const SUBSETS_A_STRETCH = 64;
/** Steps without halving the gradient after which float32 is taken to be at its end. */
const PATIENCE = 4;

export interface BatchedOptions extends SurrogateOptions {
  /** Numbers of the largest tensor [clients, columns, max(rows, dim)] of a batch. @default 16 million, 64 MB */
  batchNumbers?: number | undefined;
}

/**
 * The solver on a runtime. Uploads the sketches (twice their size: with their squares); `close` frees them.
 * @param options defaults in `SurrogateOptions`
 */
export async function createBatchedSolver(
  problem: EstimationProblem,
  runtime: Runtime,
  options: BatchedOptions = {},
): Promise<BatchedSolver> {
  const plan = compileSurrogate(problem, options);
  const { dim, scale } = problem;
  const basis = dim <= MOST_ROTATED ? principalAxes(problem) : undefined;
  const train = await uploadRows(runtime, problem.train, dim, 1 / scale);
  const validation = await uploadRows(runtime, problem.validation, dim, 1);
  const weights: ResidentTensor[] = [];
  for (let fold = 0; fold < (problem.folds?.count ?? 1); fold++)
    weights.push(await uploadWeights(runtime, problem, train.sizes, problem.folds && fold));
  const rotation = await runtime.compile(rotationGraph(train.sizes, basis !== undefined));
  const rotated =
    basis === undefined
      ? await rotation.run({ sketch: train.sketch }, { keep: ["squared"] })
      : await rotation.run(
          { sketch: train.sketch, basis: { shape: [dim, dim], data: Float32Array.from(basis) } },
          { keep: ["rotated", "squared"] },
        );
  await rotation.release();
  if (basis !== undefined) runtime.free(train.sketch);
  return new BatchedSolver(
    problem,
    plan,
    runtime,
    basis,
    { ...train, sketch: rotated.resident.rotated ?? train.sketch, squared: rotated.resident.squared!, weights },
    validation,
    {
      gradient: await runtime.compile(gradientGraph(train.sizes)),
      product: await runtime.compile(productGraph(train.sizes)),
      relocate: await runtime.compile(relocateGraph(train.sizes)),
      loss: await runtime.compile(lossGraph(validation.sizes)),
    },
    options.batchNumbers ?? BATCH_NUMBERS,
  );
}

interface Rows {
  readonly sizes: Sizes;
  readonly sketch: ResidentTensor;
  readonly margin: ResidentTensor;
}

interface TrainRows extends Rows {
  readonly squared: ResidentTensor;
  /** What each row counts for, one tensor a held-out fold (one where there are no folds). */
  readonly weights: readonly ResidentTensor[];
}

interface Programs {
  readonly gradient: Executable;
  readonly product: Executable;
  readonly relocate: Executable;
  readonly loss: Executable;
}

async function uploadRows(
  runtime: Runtime,
  parts: readonly LogisticRows[],
  dim: number,
  factor: number,
): Promise<Rows> {
  const clients = parts.length;
  const rows = parts.reduce((most, part) => Math.max(most, part.margin.length), 1);
  const sketch = new Float32Array(clients * rows * dim);
  const margin = new Float32Array(clients * rows);
  parts.forEach((part, i) => {
    const base = i * rows * dim;
    for (let x = 0; x < part.sketch.length; x++) sketch[base + x] = part.sketch[x]! * factor;
    margin.set(part.margin, i * rows);
  });
  return {
    sizes: { clients, rows, dim },
    sketch: await runtime.upload({ shape: [clients, rows, dim], data: sketch }),
    margin: await runtime.upload({ shape: [clients, 1, rows], data: margin }),
  };
}

async function uploadWeights(
  runtime: Runtime,
  problem: EstimationProblem,
  { clients, rows }: Sizes,
  fold: number | undefined,
): Promise<ResidentTensor> {
  const data = new Float32Array(clients * rows);
  for (let i = 0; i < clients; i++) data.set(rowWeights(problem, i, fold), i * rows);
  return runtime.upload({ shape: [clients, 1, rows], data });
}

/** [dim, dim] orthonormal columns: eigenvectors of the second moment of sketches, from an even sample over the clients. */
function principalAxes({ train, dim }: EstimationProblem): Float64Array {
  const each = Math.max(1, Math.floor(AXES_ROWS / train.length));
  const moment = new Float64Array(dim * dim);
  for (const part of train) {
    const rows = part.margin.length;
    const taken = Math.min(rows, each);
    for (let t = 0; t < taken; t++) {
      const base = Math.floor((t * rows) / taken) * dim;
      for (let i = 0; i < dim; i++) {
        const gi = part.sketch[base + i]!;
        for (let j = 0; j <= i; j++) moment[i * dim + j]! += gi * part.sketch[base + j]!;
      }
    }
  }
  let trace = 0;
  for (let i = 0; i < dim; i++) trace += moment[i * dim + i]!;
  const unit = trace > 0 ? 1 / trace : 0;
  const symmetric = Matrix.zeros(dim, dim);
  for (let i = 0; i < dim; i++)
    for (let j = 0; j <= i; j++) {
      symmetric.set(i, j, moment[i * dim + j]! * unit);
      symmetric.set(j, i, moment[i * dim + j]! * unit);
    }
  const vectors = new EigenvalueDecomposition(symmetric, { assumeSymmetric: true }).eigenvectorMatrix;
  const basis = new Float64Array(dim * dim);
  for (let i = 0; i < dim; i++) for (let j = 0; j < dim; j++) basis[i * dim + j] = vectors.get(i, j);
  return basis;
}

export class BatchedSolver implements SurrogateSolver {
  constructor(
    readonly problem: EstimationProblem,
    readonly plan: SurrogatePlan,
    private readonly runtime: Runtime,
    private readonly basis: Float64Array | undefined,
    private readonly train: TrainRows,
    private readonly validation: Rows,
    private readonly programs: Programs,
    private readonly batchNumbers: number,
  ) {}

  async fit(subsets: readonly ArrayLike<number>[], options: FitOptions = {}): Promise<SubsetFits> {
    const { problem, plan } = this;
    const { fold, start, tolerance = plan.tolerance } = options;
    checkSubsets(problem, subsets);
    checkFold(problem, fold);
    const lambda = Float64Array.from(subsets, (_, k) => options.lambda?.[k] ?? plan.path[0]!);
    const rows = { ...this.train, weight: this.train.weights[fold ?? 0]! };
    const { dim } = problem;
    const weights = new Float64Array(subsets.length * dim);
    const objective = new Float64Array(subsets.length);
    const gradientNorm = new Float64Array(subsets.length);
    let steps = 0;
    let products = 0;
    for (const [from, to] of this.batches(subsets)) {
      const task = {
        subsets: subsets.slice(from, to),
        lambda: lambda.subarray(from, to),
        start: start && this.rotated(start.subarray(from * dim, to * dim)),
        tolerance,
      };
      const fits = await new Batch(this, this.runtime, rows, this.programs, task).solve();
      steps = Math.max(steps, fits.steps);
      products += fits.products;
      objective.set(fits.objective, from);
      gradientNorm.set(fits.gradientNorm, from);
      await this.finish(task, from, fold, fits, weights, objective, gradientNorm);
    }
    return { weights, objective, gradientNorm, steps, products };
  }

  /** Consecutive ranges of subsets that fit the memory bound. */
  private batches(subsets: readonly ArrayLike<number>[]): [number, number][] {
    const { clients, rows, dim } = this.train.sizes;
    const mostColumns = Math.max(1, Math.floor(this.batchNumbers / (clients * Math.max(rows, dim))));
    const count = new Int32Array(clients);
    const ranges: [number, number][] = [];
    let from = 0;
    subsets.forEach((subset, k) => {
      for (let s = 0; s < subset.length; s++) {
        if (count[subset[s]!]! + 1 > mostColumns && k > from) {
          ranges.push([from, k]);
          from = k;
          count.fill(0);
          break;
        }
      }
      for (let s = 0; s < subset.length; s++) count[subset[s]!]!++;
    });
    ranges.push([from, subsets.length]);
    return ranges;
  }

  /** [k, dim] weights in the sketches' units to the rotated basis and scaled units. */
  private rotated(weights: Float64Array): Float64Array {
    const { problem, basis } = this;
    const { dim, scale } = problem;
    if (basis === undefined) return weights.map((w) => w * scale);
    const out = new Float64Array(weights.length);
    for (let base = 0; base < weights.length; base += dim)
      for (let i = 0; i < dim; i++) {
        const w = weights[base + i]! * scale;
        for (let j = 0; j < dim; j++) out[base + j]! += w * basis[i * dim + j]!;
      }
    return out;
  }

  /** Weights back to the sketches' own basis and units; float64 for what float32 left above the tolerance. */
  private async finish(
    { subsets, lambda, tolerance }: Task,
    from: number,
    fold: number | undefined,
    fits: SubsetFits,
    weights: Float64Array,
    objective: Float64Array,
    gradientNorm: Float64Array,
  ): Promise<void> {
    const { problem, plan, basis } = this;
    const { dim, scale } = problem;
    const own = new Float64Array(dim);
    for (let k = 0; k < fits.objective.length; k++) {
      // The event loop gets its turn: a coordinator has connections to answer.
      if (k % SUBSETS_A_STRETCH === SUBSETS_A_STRETCH - 1) await new Promise((resume) => setImmediate(resume));
      throwIfAborted(plan.signal);
      const base = k * dim;
      if (basis === undefined) own.set(fits.weights.subarray(base, base + dim));
      else
        for (let i = 0; i < dim; i++) {
          let sum = 0;
          for (let j = 0; j < dim; j++) sum += basis[i * dim + j]! * fits.weights[base + j]!;
          own[i] = sum;
        }
      let best: Float64Array = own;
      if (fits.gradientNorm[k]! > tolerance) {
        const rows = gatherRows(problem, plan, subsets[k]!, lambda[k]!, fold);
        const exact = fitExactly(rows, { tolerance, maxSteps: plan.maxSteps }, own);
        best = exact.weights;
        objective[from + k] = exact.objective;
        gradientNorm[from + k] = exact.gradientNorm;
      }
      for (let i = 0; i < dim; i++) weights[(from + k) * dim + i] = best[i]! / scale;
    }
  }

  async exampleLosses(weights: Float64Array, pairs: Pairs): Promise<Float64Array[]> {
    const { clients, rows, dim } = this.validation.sizes;
    const mostColumns = Math.max(1, Math.floor(this.batchNumbers / (clients * Math.max(rows, dim))));
    const result: Float64Array[] = new Array(pairs.client.length);
    const at = { shape: [weights.length / dim, dim], data: Float32Array.from(weights) };
    // Pairs by client; a round takes at most `mostColumns` of each.
    const waiting: number[][] = Array.from({ length: clients }, () => []);
    pairs.client.forEach((client, p) => {
      waiting[client]!.push(p);
    });
    for (let taken = 0; waiting.some((list) => list.length > taken); taken += mostColumns) {
      throwIfAborted(this.plan.signal);
      const columns = Math.min(mostColumns, Math.max(...waiting.map((list) => list.length - taken)));
      const pairWeight = new Int32Array(clients * columns);
      waiting.forEach((list, i) => {
        for (let c = 0; c < columns && taken + c < list.length; c++)
          pairWeight[i * columns + c] = pairs.weight[list[taken + c]!]!;
      });
      const run = await this.programs.loss.run({
        sketch: this.validation.sketch,
        margin: this.validation.margin,
        at,
        pairWeight: { shape: [clients, columns], data: pairWeight },
      });
      const losses = run.tensors.losses!.data;
      waiting.forEach((list, i) => {
        const part = this.problem.validation[i]!;
        for (let c = 0; c < columns && taken + c < list.length; c++) {
          const examples = new Float64Array(part.examples);
          const base = (i * columns + c) * rows;
          for (let r = 0; r < part.margin.length; r++) examples[part.example[r]!]! += losses[base + r]!;
          result[list[taken + c]!] = examples;
        }
      });
    }
    return result;
  }

  async close(): Promise<void> {
    const { train, validation, programs } = this;
    this.runtime.free(train.sketch, train.squared, train.margin, ...train.weights);
    this.runtime.free(validation.sketch, validation.margin);
    for (const program of Object.values(programs) as Executable[]) await program.release();
  }
}

/** What a batch solves. */
interface Task {
  readonly subsets: readonly ArrayLike<number>[];
  /** [k] lambda_0 */
  readonly lambda: Float64Array;
  /** [k, dim] in the rotated, scaled basis. */
  readonly start: Float64Array | undefined;
  readonly tolerance: number;
}

/** One batch of subsets on its way to the optimum. Vectors are [subsets, dim] in the rotated, scaled basis. */
class Batch {
  private readonly dim: number;
  private readonly count: number;
  private readonly examples: Float64Array;
  private readonly lambda: Float64Array;
  private layout: Layout;
  /** Subsets in the layout, as indices of the batch. */
  private active: number[];
  private curvature: ResidentTensor | undefined;
  private readonly at: Float64Array;
  private readonly gradient: Float64Array;
  private readonly diagonal: Float64Array;
  private readonly objective: Float64Array;
  private readonly norm: Float64Array;
  private readonly majorise: Uint8Array;
  private products = 0;

  constructor(
    private readonly solver: BatchedSolver,
    private readonly runtime: Runtime,
    private readonly rows: TrainRows & { readonly weight: ResidentTensor },
    private readonly programs: Programs,
    private readonly task: Task,
  ) {
    const { problem, plan } = solver;
    const { subsets, lambda, start } = task;
    this.dim = problem.dim;
    this.count = subsets.length;
    this.examples = Float64Array.from(subsets, (subset) => subsetExamples(problem, subset));
    this.lambda = this.examples.map((examples, k) => subsetLambda(plan, lambda[k]!, examples));
    this.active = subsets.map((_, k) => k);
    this.layout = layOut(rows.sizes.clients, subsets);
    this.at = start?.map(Math.fround) ?? new Float64Array(this.count * this.dim);
    this.gradient = new Float64Array(this.count * this.dim);
    this.diagonal = new Float64Array(this.count * this.dim);
    this.objective = new Float64Array(this.count);
    this.norm = new Float64Array(this.count);
    this.majorise = new Uint8Array(this.count).fill(start === undefined ? 1 : 0);
  }

  async solve(): Promise<SubsetFits> {
    const { plan } = this.solver;
    const { tolerance } = this.task;
    const { count } = this;
    const best = new Float64Array(count).fill(Number.POSITIVE_INFINITY);
    const stalled = new Uint8Array(count);
    await this.evaluate(this.at);
    let steps = 0;
    try {
      for (;;) {
        for (const k of this.active) {
          if (this.norm[k]! < 0.5 * best[k]!) {
            best[k] = this.norm[k]!;
            stalled[k] = 0;
          } else stalled[k]!++;
        }
        const open = this.active.filter((k) => this.norm[k]! > tolerance && stalled[k]! < PATIENCE);
        if (open.length === 0 || steps >= plan.maxSteps) break;
        throwIfAborted(plan.signal);
        steps++;
        await this.shrinkTo(open);
        const step = await this.direction(open);
        await this.advance(open, step);
      }
    } finally {
      this.dropCurvature();
    }
    return { weights: this.at, objective: this.objective, gradientNorm: this.norm, steps, products: this.products };
  }

  /** Leaves the subsets that are done, once they are a third of the layout: kept curvature moves along. */
  private async shrinkTo(open: readonly number[]): Promise<void> {
    if (open.length > 0.67 * this.active.length) return;
    const { clients } = this.rows.sizes;
    const position = new Map(this.active.map((k, at) => [k, at]));
    const kept = open.map((k) => position.get(k)!);
    const to = layOut(
      clients,
      open.map((k) => this.task.subsets[k]!),
    );
    const positions = relocate(clients, this.layout, kept, to);
    const run = await this.programs.relocate.run(
      { from: this.curvature!, positions: { shape: [clients, to.columns], data: positions } },
      { keep: ["curvature"] },
    );
    this.dropCurvature();
    this.curvature = run.resident.curvature!;
    this.layout = to;
    this.active = [...open];
  }

  private dropCurvature(): void {
    if (this.curvature !== undefined) this.runtime.free(this.curvature);
    this.curvature = undefined;
  }

  /** Rows of [subsets, width] of the batch that are in the layout, as float32. */
  private packed(vectors: Float64Array, width: number): Float32Array {
    const out = new Float32Array(this.active.length * width);
    this.active.forEach((k, a) => {
      for (let d = 0; d < width; d++) out[a * width + d] = vectors[k * width + d]!;
    });
    return out;
  }

  private indices() {
    const { clients } = this.rows.sizes;
    const { columns, members, pairSubset, slots, present } = this.layout;
    const k = this.active.length;
    return {
      pairSubset: { shape: [clients, columns], data: pairSubset },
      slots: { shape: [k, members], data: slots },
      present: { shape: [k, 1, members], data: present },
    };
  }

  /** Objective, gradient, its norm, diagonal and curvature at `where` [subsets, dim] of the layout's subsets. */
  private async evaluate(where: Float64Array): Promise<void> {
    const { dim } = this;
    const k = this.active.length;
    const run = await this.programs.gradient.run(
      {
        sketch: this.rows.sketch,
        squared: this.rows.squared,
        margin: this.rows.margin,
        weight: this.rows.weight,
        at: { shape: [k, dim], data: this.packed(where, dim) },
        majorise: { shape: [k, 1], data: Float32Array.from(this.active, (a) => this.majorise[a]!) },
        ...this.indices(),
      },
      { keep: ["curvature"], fetch: ["sums"] },
    );
    this.dropCurvature();
    this.curvature = run.resident.curvature!;
    const sums = run.tensors.sums!.data;
    const width = 2 * dim + 1;
    this.active.forEach((subset, a) => {
      const share = 1 / this.examples[subset]!;
      const lambda = this.lambda[subset]!;
      const base = subset * dim;
      let squares = 0;
      let normSquared = 0;
      for (let d = 0; d < dim; d++) {
        const w = where[base + d]!;
        const slope = 2 * lambda * w - share * sums[a * width + d]!;
        this.gradient[base + d] = slope;
        this.diagonal[base + d] = share * sums[a * width + dim + d]! + 2 * lambda;
        squares += w * w;
        normSquared += slope * slope;
      }
      this.objective[subset] = share * sums[a * width + 2 * dim]! + lambda * squares;
      this.norm[subset] = Math.sqrt(normSquared);
    });
  }

  /** Newton steps of the open subsets by preconditioned conjugate gradients, as exact as the gradient's size asks for. */
  private async direction(open: readonly number[]): Promise<Float64Array> {
    const { dim, count } = this;
    const { tolerance } = this.task;
    const step = new Float64Array(count * dim);
    const residual = new Float64Array(count * dim);
    const conjugate = new Float64Array(count * dim);
    const rho = new Float64Array(count);
    const target = new Float64Array(count);
    for (const k of open) {
      const base = k * dim;
      for (let d = base; d < base + dim; d++) {
        residual[d] = -this.gradient[d]!;
        conjugate[d] = residual[d]! / this.diagonal[d]!;
        rho[k]! += residual[d]! * conjugate[d]!;
      }
      const norm = this.norm[k]!;
      target[k] = Math.max(0.3 * tolerance, norm * Math.min(0.25, Math.sqrt(norm)));
    }
    let going = [...open];
    for (let iteration = 0; going.length > 0 && iteration < 2 * dim; iteration++) {
      throwIfAborted(this.solver.plan.signal);
      const run = await this.programs.product.run({
        sketch: this.rows.sketch,
        curvature: this.curvature!,
        vectors: { shape: [this.active.length, dim], data: this.packed(conjugate, dim) },
        ...this.indices(),
      });
      this.products++;
      const product = run.tensors.products!.data;
      const row = new Map(this.active.map((k, a) => [k, a * dim]));
      const next: number[] = [];
      for (const k of going) {
        const base = k * dim;
        const from = row.get(k)!;
        const share = 1 / this.examples[k]!;
        const ridge = 2 * this.lambda[k]!;
        let curved = 0;
        for (let d = 0; d < dim; d++)
          curved += conjugate[base + d]! * (share * product[from + d]! + ridge * conjugate[base + d]!);
        const alpha = rho[k]! / curved;
        let squares = 0;
        let fresh = 0;
        for (let d = 0; d < dim; d++) {
          step[base + d]! += alpha * conjugate[base + d]!;
          const r = residual[base + d]! - alpha * (share * product[from + d]! + ridge * conjugate[base + d]!);
          residual[base + d] = r;
          squares += r * r;
          fresh += (r * r) / this.diagonal[base + d]!;
        }
        if (Math.sqrt(squares) <= target[k]!) {
          conjugate.fill(0, base, base + dim);
          continue;
        }
        const beta = fresh / rho[k]!;
        rho[k] = fresh;
        for (let d = base; d < base + dim; d++) conjugate[d] = residual[d]! / this.diagonal[d]! + beta * conjugate[d]!;
        next.push(k);
      }
      going = next;
    }
    return step;
  }

  /** Takes the steps, shortened where the slope along a step has turned upwards. */
  private async advance(open: readonly number[], step: Float64Array): Promise<void> {
    const { dim, count } = this;
    const length = new Float64Array(count);
    const slopeBefore = new Float64Array(count);
    const before = this.objective.slice();
    const from = this.at.slice();
    for (const k of open) {
      length[k] = 1;
      for (let d = k * dim; d < (k + 1) * dim; d++) slopeBefore[k]! += this.gradient[d]! * step[d]!;
      this.majorise[k] = 0;
    }
    for (let attempt = 0; attempt < 30; attempt++) {
      // Rounded to float32 as the runtime sees it, so that the gradient is that of the very weights kept.
      for (const k of open)
        for (let d = k * dim; d < (k + 1) * dim; d++) this.at[d] = Math.fround(from[d]! + length[k]! * step[d]!);
      await this.evaluate(this.at);
      let again = false;
      for (const k of open) {
        let slope = 0;
        for (let d = k * dim; d < (k + 1) * dim; d++) slope += this.gradient[d]! * step[d]!;
        const slack = 2e-6 * (Math.abs(before[k]!) + 1e-3);
        if (slope <= 0.5 * Math.abs(slopeBefore[k]!) && this.objective[k]! <= before[k]! + slack) continue;
        // Secant on the slope, which a convex objective crosses once.
        const shorter = Math.abs(slopeBefore[k]!) / (Math.abs(slopeBefore[k]!) + Math.max(slope, 0));
        length[k]! *= Math.min(0.7, Math.max(0.1, shorter));
        this.majorise[k] = length[k]! < 0.5 ? 1 : 0;
        again = true;
      }
      if (!again) return;
    }
  }
}
