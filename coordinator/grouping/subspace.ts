/**
 * Leading eigenpairs of a large symmetric matrix that changes a little at a time: Chebyshev-filtered subspace
 * iteration (Zhou, Saad, Tiago and Chelikowsky 2006) from the last vectors, and Lanczos for the lower end of a spectrum.
 * All vectors are in the complement of the vector of ones: the eigenpairs are those of P A P with P = I - e e^T / n.
 * It knows nothing of the meaning of the matrix.
 *
 * Blocks of vectors are rows [vectors, n] of one Float64Array, so that a product reads both sides in order: 1.6 GFLOP/s, where
 * ml-matrix's product reaches 0.75.
 */
import type { SeededRng } from "../../shared/base/random.js";
import { decompose } from "../algebra/eigen.js";
import type { EventLoopYield } from "../algebra/yield.js";

/** Multiplications between two yields to the event loop: about 5 ms. */
const UNTIL_YIELD = 4_000_000;
/** Degree of the filter: 4 needs no fewer iterations of the relaxation (measured at n = 100 and 500), at twice the products. */
const DEGREE = 2;
/** Filtered steps from random vectors. */
const FIRST_STEPS = 8;
/** Steps of Lanczos' method for the lower end of a spectrum. */
const LANCZOS_STEPS = 10;
/** Below this size, or where more than this share of all eigenpairs is needed, a full decomposition is faster. */
const FULL_SIZE = 24;
const FULL_SHARE = 0.6;

/** A block of vectors, [count, n]. */
interface Block {
  readonly data: Float64Array;
  readonly count: number;
  readonly n: number;
}

/** out = vectors times the symmetric matrix, centred: rows [count, n]. */
export async function timesCentred(
  matrix: Float64Array,
  n: number,
  vectors: Float64Array,
  count: number,
  yieldToEventLoop: EventLoopYield,
): Promise<Float64Array> {
  const out = new Float64Array(count * n);
  const stretch = Math.max(1, Math.floor(UNTIL_YIELD / (n * count)));
  for (let from = 0; from < n; from += stretch) {
    product(matrix, { data: vectors, count, n }, out, from, Math.min(n, from + stretch));
    await yieldToEventLoop();
  }
  centreRows(out, count, n);
  return out;
}

/** Rows [from, to) of the product; four vectors at a time, so that an entry of the matrix is read once for four products. */
function product(
  matrix: Float64Array,
  { data: vectors, count, n }: Block,
  out: Float64Array,
  from: number,
  to: number,
): void {
  for (let i = from; i < to; i++) {
    const row = i * n;
    let c = 0;
    for (; c + 4 <= count; c += 4) {
      const [v0, v1, v2, v3] = [c * n, (c + 1) * n, (c + 2) * n, (c + 3) * n];
      let [s0, s1, s2, s3] = [0, 0, 0, 0];
      for (let j = 0; j < n; j++) {
        const a = matrix[row + j]!;
        s0 += a * vectors[v0 + j]!;
        s1 += a * vectors[v1 + j]!;
        s2 += a * vectors[v2 + j]!;
        s3 += a * vectors[v3 + j]!;
      }
      out[v0 + i] = s0;
      out[v1 + i] = s1;
      out[v2 + i] = s2;
      out[v3 + i] = s3;
    }
    for (; c < count; c++) out[c * n + i] = dot(matrix, row, vectors, c * n, n);
  }
}

export function dot(a: Float64Array, atA: number, b: Float64Array, atB: number, n: number): number {
  let [s0, s1] = [0, 0];
  let j = 0;
  for (; j + 2 <= n; j += 2) {
    s0 += a[atA + j]! * b[atB + j]!;
    s1 += a[atA + j + 1]! * b[atB + j + 1]!;
  }
  return j < n ? s0 + s1 + a[atA + j]! * b[atB + j]! : s0 + s1;
}

/** Adds factor * x to y. @param x, y of one length */
function addScaled(factor: number, x: Float64Array, y: Float64Array): void {
  for (let j = 0; j < y.length; j++) y[j]! += factor * x[j]!;
}

/** Row `at` of rows of n numbers, shared with them. */
const rowOf = (rows: Float64Array, at: number, n: number): Float64Array => rows.subarray(at * n, (at + 1) * n);

function centreRows(rows: Float64Array, count: number, n: number): void {
  for (let c = 0; c < count; c++) {
    let sum = 0;
    for (let j = c * n; j < (c + 1) * n; j++) sum += rows[j]!;
    for (let j = c * n; j < (c + 1) * n; j++) rows[j]! -= sum / n;
  }
}

function randomRow(rows: Float64Array, at: number, n: number, rng: SeededRng): void {
  let sum = 0;
  for (let j = 0; j < n; j++) {
    const x = rng.normal();
    rows[at + j] = x;
    sum += x;
  }
  for (let j = 0; j < n; j++) rows[at + j]! -= sum / n;
}

/** Gram-Schmidt, repeated for a row that lost much of its length; a row that depends on those before it is replaced by a random one. */
function orthonormalise(rows: Float64Array, count: number, n: number, rng: SeededRng): void {
  for (let c = 0; c < count; c++) {
    const at = c * n;
    for (let attempt = 0; ; attempt++) {
      const before = Math.sqrt(dot(rows, at, rows, at, n));
      for (let p = 0; p < c; p++) addScaled(-dot(rows, p * n, rows, at, n), rowOf(rows, p, n), rowOf(rows, c, n));
      const after = Math.sqrt(dot(rows, at, rows, at, n));
      if (after > 0.5 * before && after > 0) {
        for (let j = at; j < at + n; j++) rows[j]! /= after;
        break;
      }
      if (attempt >= 2 && !(after > 1e-10 * before)) randomRow(rows, at, n, rng);
    }
  }
  centreRows(rows, count, n);
}

/** A lower bound of all eigenvalues of P A P, by a few Lanczos steps and the norm of their residual (Zhou and Li 2011). */
async function lowerEnd(
  matrix: Float64Array,
  n: number,
  rng: SeededRng,
  yieldToEventLoop: EventLoopYield,
): Promise<number> {
  const most = Math.min(LANCZOS_STEPS, n - 1);
  const basis = new Float64Array(most * n);
  const inner = new Float64Array(most * most);
  let vector: Float64Array = new Float64Array(n);
  randomRow(vector, 0, n, rng);
  let norm = Math.sqrt(dot(vector, 0, vector, 0, n));
  for (let size = 0; ; ) {
    const at = size * n;
    for (let j = 0; j < n; j++) basis[at + j] = vector[j]! / norm;
    if (size > 0) inner[size * most + size - 1] = inner[(size - 1) * most + size] = norm;
    vector = await timesCentred(matrix, n, basis.subarray(at, at + n), 1, yieldToEventLoop);
    inner[size * most + size] = dot(basis, at, vector, 0, n);
    for (let p = 0; p <= size; p++) addScaled(-dot(basis, p * n, vector, 0, n), rowOf(basis, p, n), vector);
    norm = Math.sqrt(dot(vector, 0, vector, 0, n));
    size++;
    if (size < most && norm > 0) continue;
    const small = new Float64Array(size * size);
    for (let i = 0; i < size; i++) for (let j = 0; j < size; j++) small[i * size + j] = inner[i * most + j]!;
    return decompose(small, size).values.at(-1)! - norm;
  }
}

/** Leading eigenpairs of P A P, kept between matrices. */
export class LeadingPairs {
  /** [count, n] orthonormal, orthogonal to the ones, by descending eigenvalue. */
  vectors: Float64Array;
  /** Ritz values, descending. */
  values: Float64Array;
  private lowest = Number.NaN;
  private fresh = true;

  constructor(
    private readonly n: number,
    count: number,
    private readonly rng: SeededRng,
  ) {
    this.vectors = new Float64Array(0);
    this.values = new Float64Array(0);
    this.resize(count);
  }

  get count(): number {
    return this.values.length;
  }

  /** Keeps the leading `count`, or adds random vectors. */
  resize(count: number): void {
    const { n } = this;
    const kept = Math.min(this.count, count);
    const vectors = new Float64Array(count * n);
    vectors.set(this.vectors.subarray(0, kept * n));
    for (let c = kept; c < count; c++) randomRow(vectors, c * n, n, this.rng);
    const values = new Float64Array(count).fill(this.values[kept - 1] ?? 0);
    values.set(this.values.subarray(0, kept));
    if (count > kept) orthonormalise(vectors, count, n, this.rng);
    this.vectors = vectors;
    this.values = values;
  }

  /** One filtered step and a Rayleigh-Ritz projection for a matrix that differs little from the last one. */
  async follow(matrix: Float64Array, renew: boolean, yieldToEventLoop: EventLoopYield): Promise<void> {
    const { n } = this;
    if (n <= FULL_SIZE || this.count > FULL_SHARE * n) {
      this.everything(matrix);
      return;
    }
    if (renew || this.fresh) {
      const lowest = await lowerEnd(matrix, n, this.rng, yieldToEventLoop);
      this.lowest = lowest - 0.1 * Math.abs(lowest);
    }
    if (this.fresh) this.rotate(await timesCentred(matrix, n, this.vectors, this.count, yieldToEventLoop));
    for (let step = this.fresh ? FIRST_STEPS : 1; step > 0; step--) {
      const { lowest } = this;
      const cut = Math.max(this.values.at(-1)!, lowest + 1e-9 * Math.abs(lowest));
      const centre = (cut + lowest) / 2;
      const half = Math.max((cut - lowest) / 2, Number.MIN_VALUE);
      const images = await timesCentred(matrix, n, this.vectors, this.count, yieldToEventLoop);
      let previous: Float64Array = this.vectors;
      for (let x = 0; x < images.length; x++) images[x] = (images[x]! - centre * previous[x]!) / half;
      let filtered = images;
      for (let degree = 2; degree <= DEGREE; degree++) {
        const next = await timesCentred(matrix, n, filtered, this.count, yieldToEventLoop);
        for (let x = 0; x < next.length; x++) next[x] = (2 * (next[x]! - centre * filtered[x]!)) / half - previous[x]!;
        previous = filtered;
        filtered = next;
      }
      orthonormalise(filtered, this.count, n, this.rng);
      this.vectors = filtered;
      await yieldToEventLoop();
      this.rotate(await timesCentred(matrix, n, this.vectors, this.count, yieldToEventLoop));
    }
    this.fresh = false;
  }

  /** Replaces the vectors by the Ritz vectors of their span. @param images the matrix times each */
  private rotate(images: Float64Array): void {
    const { n, count } = this;
    const inner = new Float64Array(count * count);
    for (let a = 0; a < count; a++)
      for (let b = 0; b <= a; b++)
        inner[a * count + b] = inner[b * count + a] = dot(this.vectors, a * n, images, b * n, n);
    const { values, vectors } = decompose(inner, count);
    const ritz = new Float64Array(count * n);
    for (let a = 0; a < count; a++)
      for (let b = 0; b < count; b++) addScaled(vectors[a * count + b]!, rowOf(this.vectors, b, n), rowOf(ritz, a, n));
    this.vectors = ritz;
    this.values = values;
  }

  private everything(matrix: Float64Array): void {
    const { n } = this;
    const centred = matrix.slice();
    centreRows(centred, n, n);
    let squares = 0;
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let i = 0; i < n; i++) sum += centred[i * n + j]!;
      for (let i = 0; i < n; i++) {
        centred[i * n + j]! -= sum / n;
        squares += centred[i * n + j]! ** 2;
      }
    }
    // The ones, an eigenvector of value 0, are shifted to the lower end: the others span the complement.
    const shift = 2 * Math.sqrt(squares) + 1;
    for (let x = 0; x < centred.length; x++) centred[x]! -= shift / n;
    const { values, vectors } = decompose(centred, n);
    const keep = Math.min(this.count, n - 1);
    this.values = values.slice(0, keep);
    this.vectors = vectors.slice(0, keep * n);
    centreRows(this.vectors, keep, n);
    this.fresh = false;
  }
}
