/**
 * The surrogates of many subsets solved together on a runtime: what stays there, in which basis and units, and which subsets go
 * together; lockstep.ts solves a batch of them.
 *
 * - The sketches are rotated once to the principal axes of a pooled sample, where the Hessian of any subset is close to diagonal,
 *   so that its diagonal preconditions.
 * - The few subsets that float32 cannot bring to the tolerance (margins in the thousands) are finished in float64 by reference.ts.
 *
 * It knows nothing of which runtime it is, nor of affinities or groups.
 */
import { throwIfAborted } from "../../shared/base/errors.js";
import type { Executable, FeedData, ResidentTensor, Runtime } from "../../shared/runtimes/types.js";
import type { LogisticRows } from "../../shared/sketch/types.js";
import { eventLoopYield } from "../algebra/yield.js";
import { type Basis, principalAxes } from "./axes.js";
import { gradientGraph, lossGraph, productGraph, relocateGraph, rotationGraph, selectGraph } from "./batch.js";
import { type CompiledGraphs, solveBatch, type TrainRows } from "./lockstep.js";
import { type Placement, placeRows } from "./placement.js";
import { type EstimationProblem, rowWeights } from "./problem.js";
import { fitExactly, gatherRows } from "./reference.js";
import {
  checkFolds,
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

/**
 * Numbers of the largest tensor [clients, columns, max(rows, dim)] of a batch: 96 MB, of which a run holds about four. A client's
 * rows are packed anew for each product: 104 columns a client take 17 % less processor time a subset than 52.
 */
const BATCH_NUMBERS = 24_000_000;
/** Above this width the axes would take longer to find (dim^3: 3 s at 800) than they save. */
const MOST_ROTATED = 1024;
/** Margin against a negative that is not there: e^-1e9 is 0. */
const NO_RIVAL = 1e9;

export interface BatchedOptions extends SurrogateOptions {
  /** Numbers of the largest tensor [clients, columns, max(rows, dim)] of a batch. @default 24 million, 96 MB */
  batchNumbers?: number | undefined;
}

/**
 * The solver on a runtime. Uploads the sketches; `close` frees them.
 * @param options defaults in `SurrogateOptions`
 */
export async function createBatchedSolver(
  problem: EstimationProblem,
  runtime: Runtime,
  options: BatchedOptions = {},
): Promise<BatchedSolver> {
  const plan = compileSurrogate(problem, options);
  const { dim, scale } = problem;
  const basis = dim <= MOST_ROTATED ? await principalAxes(problem, runtime) : undefined;
  const train = await uploadRows(runtime, problem.train, dim, 1 / scale);
  const validation = await uploadRows(runtime, problem.validation, dim, 1);
  const folds = problem.folds?.count ?? 1;
  const weight = await uploadWeights(runtime, problem, train);
  const rotation = await runtime.compile(rotationGraph(train.sizes, basis !== undefined));
  const rotated =
    basis === undefined
      ? await rotation.run({ sketch: train.sketch })
      : await rotation.run(
          { sketch: train.sketch, basis: { shape: [dim, dim], data: Float32Array.from(basis.columns) } },
          { keep: ["rotated"] },
        );
  await rotation.release();
  if (basis !== undefined) runtime.free(train.sketch);
  const meanSquares = rotated.tensors.squares!.data as Float32Array;
  problem.train.forEach(({ margin }, i) => {
    for (let d = 0; d < dim; d++) meanSquares[i * dim + d]! /= margin.length;
  });
  return new BatchedSolver(
    problem,
    plan,
    runtime,
    basis,
    { ...train, sketch: rotated.resident.rotated ?? train.sketch, meanSquares, weight, folds },
    validation,
    {
      gradient: await runtime.compile(gradientGraph(train.sizes, folds, false)),
      bounded: await runtime.compile(gradientGraph(train.sizes, folds, true)),
      product: await runtime.compile(productGraph(train.sizes)),
      relocate: await runtime.compile(relocateGraph(train.sizes)),
    },
    await runtime.compile(lossGraph(validation.sizes)),
    {
      train: await runtime.compile(selectGraph(train.sizes, folds)),
      validation: await runtime.compile(selectGraph(validation.sizes, 0)),
    },
    options.batchNumbers ?? BATCH_NUMBERS,
  );
}

interface Rows extends Placement {
  readonly sketch: ResidentTensor;
  readonly margin: ResidentTensor;
}

async function uploadRows(
  runtime: Runtime,
  parts: readonly LogisticRows[],
  dim: number,
  factor: number,
): Promise<Rows> {
  const placement = placeRows(parts, dim);
  const { clients, rows, single } = placement.sizes;
  const yieldToEventLoop = eventLoopYield();
  const sketch = new Float32Array(clients * rows * dim);
  const margin = new Float32Array(clients * rows);
  for (const [i, part] of parts.entries()) {
    await yieldToEventLoop();
    margin.fill(NO_RIVAL, i * rows + single, (i + 1) * rows);
    placement.row[i]!.forEach((place, r) => {
      const to = (i * rows + place) * dim;
      for (let d = 0; d < dim; d++) sketch[to + d] = part.sketch[r * dim + d]! * factor;
      margin[i * rows + place] = part.margin[r]!;
    });
  }
  return {
    ...placement,
    sketch: await runtime.upload({ shape: [clients, rows, dim], data: sketch }),
    margin: await runtime.upload({ shape: [clients, 1, rows], data: margin }),
  };
}

/** [clients, folds, rows] */
async function uploadWeights(
  runtime: Runtime,
  problem: EstimationProblem,
  { sizes: { clients, rows }, row }: Placement,
): Promise<ResidentTensor> {
  const folds = problem.folds?.count ?? 1;
  const data = new Float32Array(clients * folds * rows);
  for (let i = 0; i < clients; i++)
    for (let fold = 0; fold < folds; fold++) {
      const weights = rowWeights(problem, i, problem.folds && fold);
      const from = (i * folds + fold) * rows;
      row[i]!.forEach((place, r) => {
        data[from + place] = weights[r]!;
      });
    }
  return runtime.upload({ shape: [clients, folds, rows], data });
}

/** Where at most this share of the clients is asked about, their rows are copied for the batch. */
const FEW = 0.5;

/** The clients of these lists, ascending, where they are few. */
function someOf(lists: readonly ArrayLike<number>[], clients: number): Int32Array | undefined {
  const found = new Set<number>();
  for (const list of lists) for (let s = 0; s < list.length; s++) found.add(list[s]!);
  return found.size <= FEW * clients ? Int32Array.from(found).sort() : undefined;
}

export class BatchedSolver implements SurrogateSolver {
  constructor(
    readonly problem: EstimationProblem,
    readonly plan: SurrogatePlan,
    private readonly runtime: Runtime,
    private readonly basis: Basis | undefined,
    private readonly train: TrainRows,
    private readonly validation: Rows,
    private readonly compiledGraphs: CompiledGraphs,
    private readonly loss: Executable,
    private readonly select: { readonly train: Executable; readonly validation: Executable },
    private readonly batchNumbers: number,
  ) {}

  async fit(subsets: readonly ArrayLike<number>[], options: FitOptions = {}): Promise<SubsetFits> {
    const { problem, plan } = this;
    const { folds, start, tolerance = plan.tolerance } = options;
    checkSubsets(problem, subsets);
    checkFolds(problem, subsets.length, folds);
    const lambda = Float64Array.from(subsets, (_, k) => options.lambda?.[k] ?? plan.path[0]!);
    const { dim } = problem;
    const weights = new Float64Array(subsets.length * dim);
    const objective = new Float64Array(subsets.length);
    const gradientNorm = new Float64Array(subsets.length);
    let steps = 0;
    let products = 0;
    for (const [from, to] of this.batches(subsets)) {
      const some = subsets.slice(from, to);
      const examples = Float64Array.from(some, (subset) => subsetExamples(problem, subset));
      const task = {
        examples,
        lambda: examples.map((count, k) => subsetLambda(plan, lambda[from + k]!, count)),
        start: start && (await this.turned(start.subarray(from * dim, to * dim), problem.scale, this.basis?.rows)),
        tolerance,
        maxSteps: plan.maxSteps,
        signal: plan.signal,
        folds: some.map((_, k) => folds?.[from + k] ?? 0),
      };
      const fits = await this.withMembers(some, this.train, (subsets, rows) =>
        solveBatch(this.runtime, rows, this.compiledGraphs, { ...task, subsets }),
      );
      steps = Math.max(steps, fits.steps);
      products += fits.products;
      objective.set(fits.objective, from);
      gradientNorm.set(fits.gradientNorm, from);
      weights.set(await this.turned(fits.weights, 1 / problem.scale, this.basis?.columns), from * dim);
    }
    const yieldToEventLoop = eventLoopYield(plan.signal);
    for (let k = 0; k < subsets.length; k++) {
      if (gradientNorm[k]! <= tolerance) continue;
      const own = weights.subarray(k * dim, (k + 1) * dim);
      const exact = await fitExactly(
        gatherRows(problem, plan, subsets[k]!, lambda[k]!, folds?.[k]),
        { tolerance, maxSteps: plan.maxSteps },
        yieldToEventLoop,
        own.map((w) => w * problem.scale),
      );
      own.set(exact.weights.map((w) => w / problem.scale));
      objective[k] = exact.objective;
      gradientNorm[k] = exact.gradientNorm;
    }
    return { weights, objective, gradientNorm, steps, products };
  }

  /**
   * Solves on the rows of the subsets' members alone where these are few: every product of a batch reads all clients' sketches, and a
   * search asks about one group of 50 among 500 clients again and again.
   */
  private async withMembers<T>(
    subsets: readonly ArrayLike<number>[],
    rows: TrainRows,
    solve: (subsets: readonly ArrayLike<number>[], rows: TrainRows) => Promise<T>,
  ): Promise<T> {
    const { sizes, meanSquares, folds } = rows;
    const chosen = someOf(subsets, sizes.clients);
    if (chosen === undefined) return solve(subsets, rows);
    const { sketch, margin, weight } = rows;
    const { resident } = await this.select.train.run(
      { sketch, margin, weight, chosen: { shape: [chosen.length], data: chosen } },
      { keep: ["sketch", "margin", "weight"] },
    );
    const place = new Map(Array.from(chosen, (client, at) => [client, at]));
    const own = new Float32Array(chosen.length * sizes.dim);
    chosen.forEach((client, at) => {
      own.set(meanSquares.subarray(client * sizes.dim, (client + 1) * sizes.dim), at * sizes.dim);
    });
    try {
      return await solve(
        subsets.map((subset) => Int32Array.from(subset, (client) => place.get(client)!)),
        {
          sizes: { ...sizes, clients: chosen.length },
          sketch: resident.sketch!,
          margin: resident.margin!,
          weight: resident.weight!,
          meanSquares: own,
          folds,
        },
      );
    } finally {
      this.runtime.free(resident.sketch!, resident.margin!, resident.weight!);
    }
  }

  /** Consecutive ranges of subsets that fit the memory bound, of about one size. */
  private batches(subsets: readonly ArrayLike<number>[]): [number, number][] {
    const whole = this.ranges(subsets, subsets.length);
    return whole.length === 1 ? whole : this.ranges(subsets, Math.ceil(subsets.length / whole.length));
  }

  private ranges(subsets: readonly ArrayLike<number>[], most: number): [number, number][] {
    const { clients, rows, dim } = this.train.sizes;
    const mostColumns = Math.max(1, Math.floor(this.batchNumbers / (clients * Math.max(rows, dim))));
    const count = new Int32Array(clients);
    const ranges: [number, number][] = [];
    let from = 0;
    subsets.forEach((subset, k) => {
      let full = k - from >= most;
      for (let s = 0; s < subset.length; s++) full ||= k > from && count[subset[s]!]! + 1 > mostColumns;
      if (full) {
        ranges.push([from, k]);
        from = k;
        count.fill(0);
      }
      for (let s = 0; s < subset.length; s++) count[subset[s]!]!++;
    });
    ranges.push([from, subsets.length]);
    return ranges;
  }

  /** Each of [k, dim] times `factor`, and along the axes given as [dim, dim] rows: in float64, which the optimum's gradient needs. */
  private async turned(vectors: Float64Array, factor: number, axes: Float64Array | undefined): Promise<Float64Array> {
    if (axes === undefined) return vectors.map((w) => w * factor);
    const { dim } = this.problem;
    const out = new Float64Array(vectors.length);
    const count = vectors.length / dim;
    const yieldToEventLoop = eventLoopYield(this.plan.signal);
    for (let k = 0; k < count; k += 4) {
      await yieldToEventLoop();
      // Four at a time, the last one again where fewer are left: four sums do not wait for each other, and an axis is read once.
      const [a, b, c, d] = [0, 1, 2, 3].map((more) => Math.min(k + more, count - 1) * dim) as [
        number,
        number,
        number,
        number,
      ];
      for (let i = 0; i < dim; i++) {
        let sumA = 0;
        let sumB = 0;
        let sumC = 0;
        let sumD = 0;
        for (let j = 0; j < dim; j++) {
          const axis = axes[i * dim + j]!;
          sumA += axis * vectors[a + j]!;
          sumB += axis * vectors[b + j]!;
          sumC += axis * vectors[c + j]!;
          sumD += axis * vectors[d + j]!;
        }
        out[a + i] = sumA * factor;
        out[b + i] = sumB * factor;
        out[c + i] = sumC * factor;
        out[d + i] = sumD * factor;
      }
    }
    return out;
  }

  exampleLosses(weights: Float64Array, pairs: Pairs): Promise<Float64Array[]> {
    const { single, several } = this.validation.sizes;
    return this.overRows(weights, pairs, "losses", single + several, (client, losses) => {
      const examples = new Float64Array(this.problem.validation[client]!.examples);
      const { place, example } = this.validation.term[client]!;
      for (let t = 0; t < place.length; t++) examples[example[t]!]! += losses[place[t]!]!;
      return examples;
    });
  }

  rowMargins(weights: Float64Array, pairs: Pairs): Promise<Float64Array[]> {
    return this.overRows(weights, pairs, "margins", this.validation.sizes.rows, (client, margins) =>
      Float64Array.from(this.validation.row[client]!, (place) => margins[place]!),
    );
  }

  /** @param width numbers that come out of each pair. @param take what to keep of them */
  private async overRows(
    weights: Float64Array,
    pairs: Pairs,
    output: "losses" | "margins",
    width: number,
    take: (client: number, found: FeedData) => Float64Array,
  ): Promise<Float64Array[]> {
    const { rows, dim, clients: all } = this.validation.sizes;
    const chosen = someOf([pairs.client], all) ?? Int32Array.from({ length: all }, (_, i) => i);
    const clients = chosen.length;
    const mostColumns = Math.max(1, Math.floor(this.batchNumbers / (clients * Math.max(rows, dim))));
    const yieldToEventLoop = eventLoopYield(this.plan.signal);
    const result: Float64Array[] = new Array(pairs.client.length);
    const at = { shape: [weights.length / dim, dim], data: Float32Array.from(weights) };
    // Pairs by client; a round takes at most `mostColumns` of each.
    const place = new Int32Array(all);
    chosen.forEach((client, i) => {
      place[client] = i;
    });
    const waiting: number[][] = Array.from({ length: clients }, () => []);
    pairs.client.forEach((client, p) => {
      waiting[place[client]!]!.push(p);
    });
    const { sketch, margin } = this.validation;
    const part =
      clients < all &&
      (await this.select.validation.run(
        { sketch, margin, chosen: { shape: [clients], data: chosen } },
        { keep: ["sketch", "margin"] },
      ));
    const feeds = part ? { sketch: part.resident.sketch!, margin: part.resident.margin! } : { sketch, margin };
    try {
      for (let taken = 0; waiting.some((list) => list.length > taken); taken += mostColumns) {
        throwIfAborted(this.plan.signal);
        const columns = Math.min(mostColumns, Math.max(...waiting.map((list) => list.length - taken)));
        const pairWeight = new Int32Array(clients * columns);
        waiting.forEach((list, i) => {
          for (let c = 0; c < columns && taken + c < list.length; c++)
            pairWeight[i * columns + c] = pairs.weight[list[taken + c]!]!;
        });
        const run = await this.loss.run(
          { ...feeds, at, pairWeight: { shape: [clients, columns], data: pairWeight } },
          { fetch: [output] },
        );
        const found = run.tensors[output]!.data;
        for (const [i, list] of waiting.entries()) {
          for (let c = 0; c < columns && taken + c < list.length; c++) {
            const base = (i * columns + c) * width;
            result[list[taken + c]!] = take(chosen[i]!, found.subarray(base, base + width));
          }
          await yieldToEventLoop();
        }
      }
    } finally {
      if (part) this.runtime.free(feeds.sketch, feeds.margin);
    }
    return result;
  }

  async close(): Promise<void> {
    const { train, validation, compiledGraphs } = this;
    this.runtime.free(train.sketch, train.margin, train.weight);
    this.runtime.free(validation.sketch, validation.margin);
    for (const program of [
      this.loss,
      ...Object.values(this.select),
      ...(Object.values(compiledGraphs) as Executable[]),
    ])
      await program.release();
  }
}
