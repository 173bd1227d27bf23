/**
 * Distortion of vectors by random projections: norms and inner products by Kindred's structured sketch and by a dense Rademacher matrix,
 * against the exact ones. It knows nothing of the origin of the vectors.
 */
import { SeededRng } from "../../../shared/base/random.js";
import { GraphBuilder } from "../../../shared/graph/graph.js";
import type { Runtime } from "../../../shared/runtimes/types.js";
import { quantile } from "../../report/views.js";
import { mean } from "../harness/statistics.js";
import { dot } from "./expansion.js";

/** Inner products of vectors with each other, [n, n] row-major. */
export type Gram = Float64Array;

/** @param width uses only the first numbers of each vector */
export function gramOf(vectors: readonly ArrayLike<number>[], width = vectors[0]!.length): Gram {
  const n = vectors.length;
  const gram = new Float64Array(n * n);
  const first = vectors.map((vector) => new Float64Array(vector).subarray(0, width));
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      gram[i * n + j] = dot(first[i]!, first[j]!);
      gram[j * n + i] = gram[i * n + j]!;
    }
  }
  return gram;
}

export function meanGram(grams: readonly Gram[]): Gram {
  return grams[0]!.map((_, k) => mean(grams.map((gram) => gram[k]!)));
}

/** The distribution of an error over vectors or pairs of vectors. */
export interface Spread {
  readonly mean: number;
  /** 95 % quantile. */
  readonly most: number;
}

export interface Distortion {
  /** Of | |Pu| / |u| - 1 |. */
  readonly norm: Spread;
  /** Of |<Pu, Pv> - <u, v>| / (|u| |v|), u and v not the same. */
  readonly inner: Spread;
}

/** @param exact of the vectors, all nonzero. @param sketched of their sketches */
export function distortionOf(exact: Gram, sketched: Gram): Distortion {
  const n = Math.sqrt(exact.length);
  const norm: number[] = [];
  const inner: number[] = [];
  for (let i = 0; i < n; i++) {
    norm.push(Math.abs(Math.sqrt(Math.max(0, sketched[i * n + i]!) / exact[i * n + i]!) - 1));
    for (let j = 0; j < i; j++) {
      const scale = Math.sqrt(exact[i * n + i]! * exact[j * n + j]!);
      inner.push(Math.abs(sketched[i * n + j]! - exact[i * n + j]!) / scale);
    }
  }
  const spread = (errors: readonly number[]): Spread => ({ mean: mean(errors), most: quantile(errors, 0.95) });
  return { norm: spread(norm), inner: spread(inner) };
}

/**
 * The distortion of a dense projection with independent entries, to first order in 1 / d: |Pu|^2 has variance 2 |u|^4 / d, <Pu, Pv> has
 * (|u|^2 |v|^2 + <u, v>^2) / d, and both are nearly normal.
 */
export function theory(exact: Gram, dim: number): Distortion {
  const n = Math.sqrt(exact.length);
  const cosines: number[] = [];
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) cosines.push(exact[i * n + j]! ** 2 / (exact[i * n + i]! * exact[j * n + j]!));
  }
  const spread = (deviation: number): Spread => ({ mean: deviation * Math.sqrt(2 / Math.PI), most: 1.96 * deviation });
  return { norm: spread(Math.sqrt(1 / (2 * dim))), inner: spread(Math.sqrt((1 + mean(cosines)) / dim)) };
}

/** Rows of the dense matrix in memory: 13 MB at 1,600 columns, while the whole matrix has gigabytes. */
const PIECE = 2048;

/**
 * Vectors times a matrix of +-1 drawn by seed, [vectors][dim], not yet divided by sqrt(dim): the first d columns are a matrix of
 * their own for any smaller d.
 */
export async function denseProduct(
  runtime: Runtime,
  vectors: readonly Float32Array[],
  dim: number,
  seed: number,
): Promise<Float64Array[]> {
  const g = new GraphBuilder();
  const graph = g.build({ product: g.matmul(g.input("vectors", ["N", "P"]), g.input("signs", ["P", dim])) });
  const executable = await runtime.compile(graph);
  const products = vectors.map(() => new Float64Array(dim));
  const rng = new SeededRng(seed, "dense", dim);
  try {
    const length = vectors[0]!.length;
    for (let from = 0; from < length; from += PIECE) {
      const rows = Math.min(PIECE, length - from);
      const piece = new Float32Array(vectors.length * rows);
      vectors.forEach((vector, i) => {
        piece.set(vector.subarray(from, from + rows), i * rows);
      });
      const feeds = {
        vectors: { shape: [vectors.length, rows], data: piece },
        signs: { shape: [rows, dim], data: signs(rng, rows * dim) },
      };
      const { data } = (await executable.run(feeds)).tensors.product!;
      products.forEach((product, i) => {
        for (let k = 0; k < dim; k++) product[k]! += data[i * dim + k]!;
      });
    }
  } finally {
    await executable.release();
  }
  return products;
}

/** One bit of the generator per sign: a model of 135 million parameters needs a billion signs. */
function signs(rng: SeededRng, count: number): Float32Array {
  const drawn = new Float32Array(count);
  for (let at = 0, bits = 0; at < count; at++, bits >>>= 1) {
    if (at % 32 === 0) bits = rng.uint32();
    drawn[at] = bits & 1 ? 1 : -1;
  }
  return drawn;
}
