/**
 * The surrogates of many subsets, solved together on a runtime: the tensors that stay there, their basis and units, and the batches
 * that subsets are solved in; lockstep.ts solves one batch.
 *
 * - The sketches are rotated once to the principal axes of a pooled sample, where the Hessian of any subset is close to diagonal,
 *   so that its diagonal preconditions.
 * - The few subsets that float32 cannot bring to the tolerance (margins in the thousands) are finished in float64 by reference.ts.
 *
 * It knows nothing of the kind of runtime, nor of affinities or groups.
 */
import { throwIfAborted } from "../../shared/base/errors.js";
import { RuntimeScope } from "../../shared/runtimes/scope.js";
import type { Executable, FeedData, Runtime } from "../../shared/runtimes/types.js";
import { eventLoopYield } from "../algebra/yield.js";
import { type Basis, changeBasis, principalBasis } from "./axes.js";
import {
  batchRanges,
  gradientGraph,
  lossGraph,
  productGraph,
  relocateGraph,
  rotationGraph,
  selectGraph,
} from "./batch.js";
import { type BatchGraphs, solveBatch, type TrainRows } from "./lockstep.js";
import type { EstimationProblem } from "./problem.js";
import { fitExactly, gatherRows } from "./reference.js";
import { fewClients, type ResidentRows, uploadRows, uploadWeights, withMembers } from "./resident-rows.js";
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
 * Numbers in the largest tensor [clients, columns, max(rows, dim)] of a batch: 96 MB, of which a run holds about four. The rows of a
 * client are packed anew for each product: 104 columns per client take 17 % less processor time per subset than 52.
 */
const BATCH_NUMBERS = 24_000_000;
/** Above this width the axes would take longer to find (dim^3: 3 s at 800) than they save. */
const MOST_ROTATED = 1024;

export interface BatchedOptions extends SurrogateOptions {
  /** Numbers in the largest tensor [clients, columns, max(rows, dim)] of a batch. @default 24 million, 96 MB */
  batchNumbers?: number | undefined;
}

/** A solver's compiled graphs. */
interface SolverGraphs extends BatchGraphs {
  readonly loss: Executable;
  readonly selectTrain: Executable;
  readonly selectValidation: Executable;
}

/** Everything that a solver works with. */
interface SolverParts {
  readonly problem: EstimationProblem;
  readonly plan: SurrogatePlan;
  /** Holds the tensors and graphs below. */
  readonly scope: RuntimeScope;
  /** Of the training rows; undefined: that of the sketches as sent. */
  readonly basis: Basis | undefined;
  readonly train: TrainRows;
  readonly validation: ResidentRows;
  readonly graphs: SolverGraphs;
  readonly batchNumbers: number;
}

/**
 * The solver on a runtime. Uploads the sketches; `close` frees them. Where it fails, nothing stays with the runtime.
 * @param options defaults in `SurrogateOptions`
 */
export async function createBatchedSolver(
  problem: EstimationProblem,
  runtime: Runtime,
  options: BatchedOptions = {},
): Promise<BatchedSolver> {
  const scope = new RuntimeScope(runtime);
  try {
    return new BatchedSolver(await openParts(problem, scope, options));
  } catch (error) {
    await scope.close().catch(() => undefined);
    throw error;
  }
}

async function openParts(
  problem: EstimationProblem,
  scope: RuntimeScope,
  options: BatchedOptions,
): Promise<SolverParts> {
  const plan = compileSurrogate(problem, options);
  const { dim, scale } = problem;
  const basis = dim <= MOST_ROTATED ? await principalBasis(problem, scope.runtime) : undefined;
  const train = await uploadRows(scope, problem.train, dim, 1 / scale);
  const validation = await uploadRows(scope, problem.validation, dim, 1);
  const weight = await uploadWeights(scope, problem, train);
  const folds = problem.folds?.count ?? 1;
  const { sketch, meanSquares } = await rotateRows(scope, problem, train, basis);
  const graphs = {
    gradient: await scope.compile(gradientGraph(train.sizes, folds, false)),
    bounded: await scope.compile(gradientGraph(train.sizes, folds, true)),
    product: await scope.compile(productGraph(train.sizes)),
    relocate: await scope.compile(relocateGraph(train.sizes)),
    loss: await scope.compile(lossGraph(validation.sizes)),
    selectTrain: await scope.compile(selectGraph(train.sizes, folds)),
    selectValidation: await scope.compile(selectGraph(validation.sizes, 0)),
  };
  return {
    problem,
    plan,
    scope,
    basis,
    train: { ...train, sketch, meanSquares, weight, folds },
    validation,
    graphs,
    batchNumbers: options.batchNumbers ?? BATCH_NUMBERS,
  };
}

/** The training sketches in the basis (the former ones are freed), and the mean square of each entry over each client's rows. */
async function rotateRows(
  scope: RuntimeScope,
  problem: EstimationProblem,
  { sizes, sketch }: ResidentRows,
  basis: Basis | undefined,
): Promise<Pick<TrainRows, "sketch" | "meanSquares">> {
  const { dim } = problem;
  const rotation = await scope.compile(rotationGraph(sizes, basis !== undefined));
  const { tensors, resident } =
    basis === undefined
      ? await rotation.run({ sketch })
      : await rotation.run(
          { sketch, basis: { shape: [dim, dim], data: Float32Array.from(basis.columns) } },
          { keep: ["rotated"] },
        );
  const rotated = resident.rotated && scope.own(resident.rotated);
  if (rotated !== undefined) scope.free(sketch);
  const meanSquares = tensors.squares!.data as Float32Array;
  problem.train.forEach(({ margin }, i) => {
    for (let d = 0; d < dim; d++) meanSquares[i * dim + d]! /= margin.length;
  });
  return { sketch: rotated ?? sketch, meanSquares };
}

export class BatchedSolver implements SurrogateSolver {
  readonly problem: EstimationProblem;
  readonly plan: SurrogatePlan;

  constructor(private readonly parts: SolverParts) {
    this.problem = parts.problem;
    this.plan = parts.plan;
  }

  async fit(subsets: readonly ArrayLike<number>[], options: FitOptions = {}): Promise<SubsetFits> {
    const { problem, plan } = this;
    const { scope, train, graphs, batchNumbers } = this.parts;
    const { folds, start, tolerance = plan.tolerance, onSolved } = options;
    checkSubsets(problem, subsets);
    checkFolds(problem, subsets.length, folds);
    const lambda = Float64Array.from(subsets, (_, k) => options.lambda?.[k] ?? plan.path[0]!);
    const { dim } = problem;
    const weights = new Float64Array(subsets.length * dim);
    const objective = new Float64Array(subsets.length);
    const gradientNorm = new Float64Array(subsets.length);
    let steps = 0;
    let products = 0;
    for (const [from, to] of batchRanges(subsets, train.sizes, batchNumbers)) {
      const some = subsets.slice(from, to);
      const examples = Float64Array.from(some, (subset) => subsetExamples(problem, subset));
      const task = {
        examples,
        lambda: examples.map((count, k) => subsetLambda(plan, lambda[from + k]!, count)),
        start: start && (await this.toBasis(start.subarray(from * dim, to * dim))),
        tolerance,
        maxSteps: plan.maxSteps,
        signal: plan.signal,
        folds: some.map((_, k) => folds?.[from + k] ?? 0),
      };
      const fits = await withMembers(scope.runtime, graphs.selectTrain, train, some, (subsets, rows) =>
        solveBatch(scope.runtime, rows, graphs, { ...task, subsets }),
      );
      steps = Math.max(steps, fits.steps);
      products += fits.products;
      objective.set(fits.objective, from);
      gradientNorm.set(fits.gradientNorm, from);
      weights.set(await this.fromBasis(fits.weights), from * dim);
      onSolved?.(to - from);
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

  /** Weights [k, dim] of the sketches as sent -> weights of the scaled and rotated training rows. */
  private toBasis(weights: Float64Array): Promise<Float64Array> {
    const { basis } = this.parts;
    return changeBasis(weights, { factor: this.problem.scale, axes: basis?.rows, signal: this.plan.signal });
  }

  /** The inverse of `toBasis`. */
  private fromBasis(weights: Float64Array): Promise<Float64Array> {
    const { basis } = this.parts;
    return changeBasis(weights, { factor: 1 / this.problem.scale, axes: basis?.columns, signal: this.plan.signal });
  }

  exampleLosses(weights: Float64Array, pairs: Pairs): Promise<Float64Array[]> {
    const { single, several } = this.parts.validation.sizes;
    return this.overRows(weights, pairs, "losses", single + several, (client, losses) => {
      const examples = new Float64Array(this.problem.validation[client]!.examples);
      const { place, example } = this.parts.validation.term[client]!;
      for (let t = 0; t < place.length; t++) examples[example[t]!]! += losses[place[t]!]!;
      return examples;
    });
  }

  rowMargins(weights: Float64Array, pairs: Pairs): Promise<Float64Array[]> {
    return this.overRows(weights, pairs, "margins", this.parts.validation.sizes.rows, (client, margins) =>
      Float64Array.from(this.parts.validation.row[client]!, (place) => margins[place]!),
    );
  }

  /**
   * Runs the loss graph on the rows of pairs' clients.
   * @param width numbers in the output for each pair. @param take what to keep of them
   */
  private async overRows(
    weights: Float64Array,
    pairs: Pairs,
    output: "losses" | "margins",
    width: number,
    take: (client: number, found: FeedData) => Float64Array,
  ): Promise<Float64Array[]> {
    const { scope, validation, graphs, batchNumbers } = this.parts;
    const { rows, dim, clients: all } = validation.sizes;
    const chosen = fewClients([pairs.client], all) ?? Int32Array.from({ length: all }, (_, i) => i);
    const clients = chosen.length;
    const mostColumns = Math.max(1, Math.floor(batchNumbers / (clients * Math.max(rows, dim))));
    const yieldToEventLoop = eventLoopYield(this.plan.signal);
    const result: Float64Array[] = new Array(pairs.client.length);
    const at = { shape: [weights.length / dim, dim], data: Float32Array.from(weights) };
    // Pairs by client; a run takes at most `mostColumns` of each client's.
    const place = new Int32Array(all);
    chosen.forEach((client, i) => {
      place[client] = i;
    });
    const waiting: number[][] = Array.from({ length: clients }, () => []);
    pairs.client.forEach((client, p) => {
      waiting[place[client]!]!.push(p);
    });
    const { sketch, margin } = validation;
    const part =
      clients < all &&
      (await graphs.selectValidation.run(
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
        const run = await graphs.loss.run(
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
      if (part) scope.runtime.free(feeds.sketch, feeds.margin);
    }
    return result;
  }

  close(): Promise<void> {
    return this.parts.scope.close();
  }
}
