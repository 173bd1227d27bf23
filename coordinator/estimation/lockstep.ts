/**
 * Truncated Newton's method on one batch of subsets (conjugate gradients for the step, Dembo, Eisenstat and Steihaug 1982), all subsets
 * in lockstep. One graph run gives a gradient, or a Hessian-vector product, of every subset; vectors of [subsets, dim] are combined
 * here in float64.
 *
 * - Preconditioner: the Hessian's diagonal in the basis of the sketches, approximated by each client's mean squared sketch times the
 *   sum of its rows' curvature. The true diagonal costs half a gradient more and saves no product.
 * - Safeguard: the majorising curvature where Newton overshoots (see reference.ts), and a step length by the slope along the
 *   step, since near the optimum float32 objectives no longer rank steps.
 * - A subset whose gradient and objective no longer fall is left unfinished: float32 cannot improve it, and the caller finishes it.
 *
 * It knows nothing of bases, units, folds or lambda paths.
 */
import { throwIfAborted } from "../../shared/base/errors.js";
import type { Executable, ResidentTensor, Runtime } from "../../shared/runtimes/types.js";
import { type Layout, layOut, relocate, type Sizes } from "./batch.js";

/**
 * Consecutive steps without progress after which a subset is left unfinished. Progress halves the gradient or lowers the objective by
 * the share LOWER. The gradient alone is no criterion: from margins of -100 at a lambda of 1e-6 it falls and rises for a dozen steps.
 */
const PATIENCE = 4;
const LOWER = 1e-5;
/** Where at most this share of the grid's subsets is still open, the open ones move to a smaller grid. */
const WORTH_KEEPING = 0.7;

export interface TrainRows {
  readonly sizes: Sizes;
  readonly sketch: ResidentTensor;
  readonly margin: ResidentTensor;
  /** [clients, folds, rows] weight of each row where a fold is held out; one fold where there are none. */
  readonly weight: ResidentTensor;
  readonly folds: number;
  /** [clients, dim] mean square of each entry over the client's rows. */
  readonly meanSquares: Float32Array;
}

export interface BatchGraphs {
  readonly gradient: Executable;
  /** With the majorising curvature for the subsets that choose it. */
  readonly bounded: Executable;
  readonly product: Executable;
  readonly relocate: Executable;
}

/** Objectives to minimise: (1 / examples) sum over rows of weight * loss + lambda ||w||^2 for each subset. */
export interface BatchTask {
  readonly subsets: readonly ArrayLike<number>[];
  /** [k] index of each subset's set of row weights. */
  readonly folds: readonly number[];
  /** [k] N_S */
  readonly examples: Float64Array;
  /** [k] lambda_S */
  readonly lambda: Float64Array;
  /** [k, dim] in the basis and units of the rows; zeros unless given. */
  readonly start: Float64Array | undefined;
  readonly tolerance: number;
  readonly maxSteps: number;
  readonly signal: AbortSignal | undefined;
}

export interface BatchFits {
  /** [k, dim] in the basis and units of the rows. */
  readonly weights: Float64Array;
  readonly objective: Float64Array;
  readonly gradientNorm: Float64Array;
  readonly steps: number;
  readonly products: number;
}

/** Some of the batch's subsets on the runtime, with the curvature of their rows at the point of their last evaluation. */
interface Grid {
  /** Indices into the batch. */
  readonly subsets: readonly number[];
  readonly layout: Layout;
  readonly curvature: ResidentTensor;
}

export async function solveBatch(
  runtime: Runtime,
  rows: TrainRows,
  graphs: BatchGraphs,
  task: BatchTask,
): Promise<BatchFits> {
  const batch = new Batch(runtime, rows, graphs, task);
  try {
    return await batch.solve();
  } finally {
    batch.release();
  }
}

/** Vectors are [subsets, dim] of the whole batch. */
class Batch {
  private readonly dim: number;
  private readonly count: number;
  private grid: Grid | undefined;
  private readonly at: Float64Array;
  private readonly gradient: Float64Array;
  private readonly diagonal: Float64Array;
  private readonly objective: Float64Array;
  private readonly norm: Float64Array;
  private readonly majorise: Uint8Array;
  private products = 0;

  constructor(
    private readonly runtime: Runtime,
    private readonly rows: TrainRows,
    private readonly graphs: BatchGraphs,
    private readonly task: BatchTask,
  ) {
    this.dim = rows.sizes.dim;
    this.count = task.subsets.length;
    this.at = task.start?.map(Math.fround) ?? new Float64Array(this.count * this.dim);
    this.gradient = new Float64Array(this.count * this.dim);
    this.diagonal = new Float64Array(this.count * this.dim);
    this.objective = new Float64Array(this.count);
    this.norm = new Float64Array(this.count);
    this.majorise = new Uint8Array(this.count).fill(task.start === undefined ? 1 : 0);
  }

  async solve(): Promise<BatchFits> {
    const { tolerance, maxSteps, signal } = this.task;
    const { count } = this;
    const best = new Float64Array(count).fill(Number.POSITIVE_INFINITY);
    const lowest = new Float64Array(count).fill(Number.POSITIVE_INFINITY);
    const stalled = new Uint8Array(count);
    let open = this.task.subsets.map((_, k) => k);
    await this.evaluate(open);
    let steps = 0;
    for (;;) {
      for (const k of open) {
        const halved = this.norm[k]! < 0.5 * best[k]!;
        const lower = this.objective[k]! < (1 - LOWER) * lowest[k]!;
        if (halved) best[k] = this.norm[k]!;
        if (lower) lowest[k] = this.objective[k]!;
        stalled[k] = halved || lower ? 0 : stalled[k]! + 1;
      }
      open = open.filter((k) => this.norm[k]! > tolerance && stalled[k]! < PATIENCE);
      if (open.length === 0 || steps >= maxSteps) break;
      throwIfAborted(signal);
      steps++;
      await this.advance(open, await this.direction(open));
    }
    return { weights: this.at, objective: this.objective, gradientNorm: this.norm, steps, products: this.products };
  }

  release(): void {
    if (this.grid !== undefined) this.runtime.free(this.grid.curvature);
    this.grid = undefined;
  }

  /** Rows of [subsets, width] of the batch, as float32. */
  private packed(vectors: Float64Array, subsets: readonly number[]): Float32Array {
    const { dim } = this;
    const out = new Float32Array(subsets.length * dim);
    subsets.forEach((k, a) => {
      out.set(vectors.subarray(k * dim, (k + 1) * dim), a * dim);
    });
    return out;
  }

  private indices({ columns, members, pairSubset, slots, present }: Layout, subsets: number) {
    const { clients } = this.rows.sizes;
    return {
      pairSubset: { shape: [clients, columns], data: pairSubset },
      slots: { shape: [subsets, members], data: slots },
      present: { shape: [subsets, 1, members], data: present },
    };
  }

  /** The set of row weights of each pair, where there are several. */
  private weightsOf({ columns, pairSubset }: Layout, subsets: readonly number[]) {
    const { sizes, folds } = this.rows;
    if (folds === 1) return {};
    const data = pairSubset.map((k, at) => Math.floor(at / columns) * folds + this.task.folds[subsets[k]!]!);
    return { pairWeight: { shape: [sizes.clients, columns], data } };
  }

  /** Computes objective, gradient, its norm, diagonal and curvature of these subsets at their current weights. */
  private async evaluate(subsets: readonly number[]): Promise<void> {
    const { dim, at, rows, task } = this;
    const { clients } = rows.sizes;
    const layout = layOut(
      clients,
      subsets.map((k) => task.subsets[k]!),
    );
    const bounded = subsets.some((k) => this.majorise[k] === 1);
    const run = await this.graphs[bounded ? "bounded" : "gradient"].run(
      {
        sketch: rows.sketch,
        margin: rows.margin,
        weight: rows.weight,
        at: { shape: [subsets.length, dim], data: this.packed(at, subsets) },
        majorise: { shape: [subsets.length, 1], data: Float32Array.from(subsets, (k) => this.majorise[k]!) },
        ...this.weightsOf(layout, subsets),
        ...this.indices(layout, subsets.length),
      },
      { keep: ["curvature"], fetch: ["slopes", "losses", "curvatures"] },
    );
    this.release();
    this.grid = { subsets, layout, curvature: run.resident.curvature! };
    const slopes = run.tensors.slopes!.data;
    const losses = run.tensors.losses!.data;
    const curvatures = run.tensors.curvatures!.data;
    const { gradient, diagonal } = this;
    const { meanSquares } = rows;
    for (let a = 0; a < subsets.length; a++) {
      const subset = subsets[a]!;
      const share = 1 / task.examples[subset]!;
      const lambda = task.lambda[subset]!;
      const base = subset * dim;
      let squares = 0;
      let normSquared = 0;
      for (let d = 0; d < dim; d++) {
        const w = at[base + d]!;
        const slope = 2 * lambda * w - share * slopes[a * dim + d]!;
        gradient[base + d] = slope;
        squares += w * w;
        normSquared += slope * slope;
      }
      let loss = 0;
      diagonal.fill(2 * lambda, base, base + dim);
      const members = task.subsets[subset]!;
      for (let s = 0; s < members.length; s++) {
        const pair = layout.slots[a * layout.members + s]!;
        loss += losses[pair]!;
        const curvature = share * curvatures[pair]!;
        const from = members[s]! * dim;
        for (let d = 0; d < dim; d++) diagonal[base + d]! += curvature * meanSquares[from + d]!;
      }
      this.objective[subset] = share * loss + lambda * squares;
      this.norm[subset] = Math.sqrt(normSquared);
    }
  }

  /** Moves the subsets that are still open, with their curvature, to a smaller grid. */
  private async keepOnly(asked: readonly number[]): Promise<void> {
    const { clients } = this.rows.sizes;
    const { subsets, layout, curvature } = this.grid!;
    if (asked.length > WORTH_KEEPING * subsets.length) return;
    const position = new Map(subsets.map((k, at) => [k, at]));
    const kept = asked.map((k) => position.get(k)!);
    const to = layOut(
      clients,
      asked.map((k) => this.task.subsets[k]!),
    );
    const positions = relocate(clients, layout, kept, to);
    const run = await this.graphs.relocate.run(
      { from: curvature, positions: { shape: [clients, to.columns], data: positions } },
      { keep: ["curvature"] },
    );
    this.release();
    this.grid = { subsets: asked, layout: to, curvature: run.resident.curvature! };
  }

  /** Newton steps of the open subsets by preconditioned conjugate gradients, to an accuracy that depends on the gradient's norm. */
  private async direction(open: readonly number[]): Promise<Float64Array> {
    const { dim, count, task } = this;
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
      target[k] = Math.max(0.3 * task.tolerance, norm * Math.min(0.25, Math.sqrt(norm)));
    }
    let going = open;
    for (let iteration = 0; going.length > 0 && iteration < 2 * dim; iteration++) {
      throwIfAborted(task.signal);
      await this.keepOnly(going);
      const { subsets, layout, curvature } = this.grid!;
      const run = await this.graphs.product.run({
        sketch: this.rows.sketch,
        curvature,
        vectors: { shape: [subsets.length, dim], data: this.packed(conjugate, subsets) },
        ...this.indices(layout, subsets.length),
      });
      this.products++;
      const product = run.tensors.products!.data;
      const row = new Map(subsets.map((k, a) => [k, a * dim]));
      going = going.filter((k) => {
        const base = k * dim;
        const from = row.get(k)!;
        const share = 1 / task.examples[k]!;
        const ridge = 2 * task.lambda[k]!;
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
        if (Math.sqrt(squares) <= target[k]!) return false;
        const beta = fresh / rho[k]!;
        rho[k] = fresh;
        for (let d = base; d < base + dim; d++) conjugate[d] = residual[d]! / this.diagonal[d]! + beta * conjugate[d]!;
        return true;
      });
    }
    return step;
  }

  /** Takes the steps, shortened where the slope along a step has become positive. */
  private async advance(open: readonly number[], step: Float64Array): Promise<void> {
    const { dim, count } = this;
    const length = new Float64Array(count).fill(1);
    const slopeBefore = new Float64Array(count);
    const before = this.objective.slice();
    const from = this.at.slice();
    for (const k of open) {
      for (let d = k * dim; d < (k + 1) * dim; d++) slopeBefore[k]! += this.gradient[d]! * step[d]!;
      this.majorise[k] = 0;
    }
    let asked = open;
    for (let attempt = 0; attempt < 30 && asked.length > 0; attempt++) {
      // Rounded to float32, the runtime's precision, so that the gradient belongs to exactly the weights kept.
      for (const k of asked)
        for (let d = k * dim; d < (k + 1) * dim; d++) this.at[d] = Math.fround(from[d]! + length[k]! * step[d]!);
      await this.evaluate(asked);
      asked = asked.filter((k) => {
        let slope = 0;
        for (let d = k * dim; d < (k + 1) * dim; d++) slope += this.gradient[d]! * step[d]!;
        const slack = 2e-6 * (Math.abs(before[k]!) + 1e-3);
        if (slope <= 0.5 * Math.abs(slopeBefore[k]!) && this.objective[k]! <= before[k]! + slack) return false;
        // Secant on the slope, which a convex objective crosses once.
        const shorter = Math.abs(slopeBefore[k]!) / (Math.abs(slopeBefore[k]!) + Math.max(slope, 0));
        length[k]! *= Math.min(0.7, Math.max(0.1, shorter));
        this.majorise[k] = length[k]! < 0.5 ? 1 : 0;
        return true;
      });
    }
    // Shortened steps were evaluated without the other subsets: the next direction needs the curvature of all.
    if (this.grid!.subsets !== open) await this.evaluate(open);
  }
}
