/**
 * Sharpness of the loss at an adapter: the trace of its Hessian in the trained parameters by Hutchinson's estimator, and the largest
 * eigenvalue by Lanczos. The Hessian is never stored: each product with a vector is one run of the model's graph, differentiated
 * twice.
 */
import { EigenvalueDecomposition, Matrix } from "ml-matrix";
import { KindredError } from "../../shared/base/errors.js";
import { SeededRng } from "../../shared/base/random.js";
import type { EncodedRow } from "../data/types.js";
import type { Adapter } from "./adapter.js";
import { batchesOf, type Feeds, scoredTokens, trainingFeeds } from "./batches.js";
import type { CompiledGraphs, Meter } from "./compiled-graphs.js";
import { hessianProductGraph } from "./graphs.js";

export interface CurvaturePlan {
  /** Number of Rademacher vectors for the estimate of the trace. @minimum 2 */
  readonly probes: number;
  readonly seed: number;
  /** Largest number of Lanczos steps. @default 40 */
  readonly steps?: number;
  /** Lanczos ends once the eigenvalue's residual is below this share of it. @default 1e-3 */
  readonly tolerance?: number;
  /** Tokens of a batch, padding included. A batch takes about three times the memory of a training step. @default 512 */
  readonly tokensPerBatch?: number;
}

export interface Curvature {
  /** Mean negative log-likelihood per scored token, nats: the function whose Hessian is taken. */
  readonly loss: number;
  /** Trained parameters: the Hessian is [parameters, parameters]. */
  readonly parameters: number;
  readonly trace: { readonly mean: number; readonly standardError: number; readonly probes: number };
  readonly largest: {
    /** Algebraically largest eigenvalue. */
    readonly eigenvalue: number;
    /** Bound on its error: |H x - lambda x| of the eigenvector. */
    readonly residual: number;
    readonly steps: number;
  };
}

/** Products of the Hessian of the mean loss over `rows` with vectors [P]. */
export class HessianProducts {
  private readonly batches: readonly Feeds[];
  private readonly meter: Meter;
  loss = Number.NaN;

  constructor(
    private readonly compiledGraphs: CompiledGraphs,
    private readonly adapter: Adapter,
    rows: readonly EncodedRow[],
    { meter, tokensPerBatch }: { readonly meter: Meter; readonly tokensPerBatch?: number | undefined },
  ) {
    this.meter = meter;
    if (rows.length === 0) throw new KindredError("invalid_data", "curvature needs at least one row");
    const share = 1 / scoredTokens(rows);
    const sorted = [...rows].sort((a, b) => a.tokens.length - b.tokens.length);
    const most = tokensPerBatch ?? this.tokensThatFit(sorted);
    this.batches = batchesOf(sorted, ({ tokens }) => tokens.length, most).map((batch) =>
      trainingFeeds(batch, compiledGraphs.model.architecture, share),
    );
  }

  /** Tokens of a batch within the memory budget. @param rows in ascending order of length */
  private tokensThatFit(rows: readonly EncodedRow[]): number {
    const { compiledGraphs, adapter } = this;
    const { layout } = adapter;
    const { budget, model } = compiledGraphs;
    if (budget === undefined) return 512;
    const graph = budget.graph("hessian", layout, () => hessianProductGraph(model, layout));
    return budget.tokensOfRows({ purpose: "curvature", layout, graph }, rows, 512);
  }

  /** @throws {KindredError} `task_failed` where the product is not finite */
  async times(vector: Float32Array): Promise<Float64Array> {
    const { compiledGraphs, adapter } = this;
    const { layout, values } = adapter;
    const program = await compiledGraphs.get("hessian", layout, () =>
      hessianProductGraph(compiledGraphs.model, layout),
    );
    const product = new Float64Array(layout.trainedSize);
    const held = {
      trained: values.trained,
      probe: vector,
      ...(layout.frozenSize > 0 ? { frozen: values.frozen } : {}),
    };
    const uploaded: Record<string, Awaited<ReturnType<typeof compiledGraphs.runtime.upload>>> = {};
    let loss = 0;
    try {
      for (const [name, data] of Object.entries(held)) {
        uploaded[name] = await compiledGraphs.runtime.upload({ shape: [data.length], data });
      }
      for (const feeds of this.batches) {
        const { tensors } = await this.meter.run(program, { ...feeds, ...uploaded });
        loss += tensors.loss!.data[0] as number;
        const part = tensors.product!.data;
        for (let i = 0; i < product.length; i++) product[i]! += part[i] as number;
      }
    } finally {
      compiledGraphs.free(...Object.values(uploaded));
    }
    if (!product.every(Number.isFinite)) {
      throw new KindredError("task_failed", "a product with the Hessian is not finite at the adapter's values");
    }
    this.loss = loss;
    return product;
  }
}

/**
 * @param onProduct called after every product; there are at most `probes + steps`
 * @throws {KindredError} `invalid_option` for fewer than two probes; `task_failed` where a product is not finite
 */
export async function curvature(
  hessian: HessianProducts,
  parameters: number,
  { probes, seed, steps = 40, tolerance = 1e-3 }: CurvaturePlan,
  onProduct?: () => void,
): Promise<Curvature> {
  if (!Number.isInteger(probes) || probes < 2) {
    throw new KindredError("invalid_option", `probes is ${probes}; expected a whole number of at least 2`);
  }
  const times = async (vector: Float32Array): Promise<Float64Array> => {
    const product = await hessian.times(vector);
    onProduct?.();
    return product;
  };
  const samples: number[] = [];
  for (let probe = 0; probe < probes; probe++) {
    const rng = new SeededRng(seed, "trace", probe);
    const vector = Float32Array.from({ length: parameters }, () => (rng.int(2) === 0 ? -1 : 1));
    samples.push(dot(await times(vector), vector));
  }
  const mean = samples.reduce((sum, x) => sum + x, 0) / probes;
  const variance = samples.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (probes - 1);
  const largest = await lanczos(times, parameters, { seed, steps: Math.min(steps, parameters), tolerance });
  const trace = { mean, standardError: Math.sqrt(variance / probes), probes };
  return { loss: hessian.loss, parameters, trace, largest };
}

/** Lanczos (1950) with full reorthogonalisation, from a random start. */
async function lanczos(
  times: (vector: Float32Array) => Promise<Float64Array>,
  size: number,
  { seed, steps, tolerance }: { seed: number; steps: number; tolerance: number },
): Promise<Curvature["largest"]> {
  const rng = new SeededRng(seed, "lanczos");
  let vector = normalised(Float64Array.from({ length: size }, () => rng.normal()));
  const basis: Float32Array[] = [];
  const diagonal: number[] = [];
  const offDiagonal: number[] = [];
  for (;;) {
    const held = Float32Array.from(vector);
    const product = await times(held);
    basis.push(held);
    diagonal.push(dot(product, held));
    // Twice: float32 vectors lose their orthogonality in one pass.
    for (let pass = 0; pass < 2; pass++) {
      for (const other of basis) {
        const along = dot(product, other);
        for (let i = 0; i < size; i++) product[i]! -= along * (other[i] as number);
      }
    }
    const next = Math.sqrt(dot(product, product));
    const { value, last } = top(diagonal, offDiagonal);
    const residual = next * Math.abs(last);
    if (basis.length >= steps || residual <= tolerance * Math.abs(value)) {
      return { eigenvalue: value, residual, steps: basis.length };
    }
    offDiagonal.push(next);
    vector = normalised(product);
  }
}

/** Largest eigenvalue of a symmetric tridiagonal matrix, and the last entry of its eigenvector. */
function top(diagonal: readonly number[], offDiagonal: readonly number[]): { value: number; last: number } {
  const n = diagonal.length;
  const matrix = Matrix.zeros(n, n);
  diagonal.forEach((x, i) => {
    matrix.set(i, i, x);
  });
  offDiagonal.forEach((x, i) => {
    matrix.set(i, i + 1, x);
    matrix.set(i + 1, i, x);
  });
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(matrix, { assumeSymmetric: true });
  const at = realEigenvalues.indexOf(Math.max(...realEigenvalues));
  return { value: realEigenvalues[at] as number, last: eigenvectorMatrix.get(n - 1, at) };
}

function dot(a: Float64Array, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * (b[i] as number);
  return sum;
}

function normalised(vector: Float64Array): Float64Array {
  const norm = Math.sqrt(dot(vector, vector));
  return norm > 0 ? vector.map((x) => x / norm) : vector;
}
