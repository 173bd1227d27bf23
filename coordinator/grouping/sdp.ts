/**
 * The semidefinite relaxation of grouping: X stands for sum over groups C of 1_C 1_C^T / |C|.
 *
 *   max <T, X> - lambda tr X   subject to   X positive semidefinite, X >= 0 entrywise, X 1 = 1   [and tr X = k]
 *
 * (Peng and Wei 2007 for k-means; with lambda in place of k, Yan, Sarkar and Cheng 2018.) Solved by the alternating direction
 * method of multipliers (Boyd et al. 2011) on consensus: X on the affine set in closed form, Y positive semidefinite by an
 * eigenvalue decomposition, Z nonnegative. An iteration costs one n x n decomposition.
 */
import type { Matrix } from "ml-matrix";
import { KindredError, throwIfAborted } from "../../shared/base/errors.js";
import type { SquareMatrix } from "./density.js";
import { eigen } from "./spectral.js";

export interface SdpOptions {
  /** Price of a group. Exclusive with `groups`. */
  lambda?: number | undefined;
  /** tr X = groups. Exclusive with `lambda`. */
  groups?: number | undefined;
  /** Primal and dual residuals to reach, relative to n entries of size 1. @default 1e-4 */
  tolerance?: number | undefined;
  /** @default 500 */
  maxIterations?: number | undefined;
  /** State of an earlier solve of the same size to start from. */
  start?: SdpState | undefined;
  signal?: AbortSignal | undefined;
}

export interface SdpState {
  readonly y: Float64Array;
  readonly z: Float64Array;
  readonly u: Float64Array;
  readonly v: Float64Array;
  readonly rho: number;
}

export interface SdpSolution {
  /** X, symmetric, nonnegative; rows sum to 1 within the tolerance. */
  readonly matrix: Float64Array[];
  /** <T, X> - lambda tr X. */
  readonly objective: number;
  /** tr X: the relaxed number of groups. */
  readonly trace: number;
  readonly iterations: number;
  /** Largest of the relative primal and dual residuals at the end. */
  readonly residual: number;
  readonly state: SdpState;
}

/** The event loop gets its turn between iterations: a coordinator has connections to answer. */
const LONGEST_STRETCH_MS = 20;

/**
 * @param affinity T, symmetric
 * @throws {KindredError} `invalid_option` unless exactly one of lambda and groups is given, groups in 1 .. n
 */
export async function solveGroupingSdp(affinity: SquareMatrix, options: SdpOptions): Promise<SdpSolution> {
  const n = affinity.length;
  const { lambda, groups, tolerance = 1e-4, maxIterations = 500, start } = options;
  if ((lambda === undefined) === (groups === undefined))
    throw new KindredError("invalid_option", "give the SDP either lambda or groups", {});
  if (groups !== undefined && !(groups >= 1 && groups <= n))
    throw new KindredError("invalid_option", `groups must be 1..${n}, got ${groups}`, { groups });
  const size = n * n;
  const t = new Float64Array(size);
  let squares = 0;
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++) {
      t[i * n + j] = affinity[i]![j]! - (i === j && lambda !== undefined ? lambda : 0);
      squares += t[i * n + j]! ** 2;
    }
  // Scaled to unit root mean square: the penalty then means the same for every matrix.
  const unit = Math.sqrt(squares / size) || 1;
  for (let x = 0; x < size; x++) t[x]! /= unit;

  let rho = start?.rho ?? Math.sqrt(n);
  const x = new Float64Array(size);
  let y: Float64Array = start?.y.slice() ?? new Float64Array(size);
  const z = start?.z.slice() ?? new Float64Array(size);
  const u = start?.u.slice() ?? new Float64Array(size);
  const v = start?.v.slice() ?? new Float64Array(size);
  if (start === undefined) for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) y[i * n + j] = z[i * n + j] = 1 / n;
  let iterations = 0;
  let residual = Number.POSITIVE_INFINITY;
  const previous = new Float64Array(size);
  let yielded = performance.now();
  while (iterations < maxIterations && residual > tolerance) {
    iterations++;
    if (performance.now() - yielded > LONGEST_STRETCH_MS) {
      await new Promise((resume) => setImmediate(resume));
      throwIfAborted(options.signal);
      yielded = performance.now();
    }
    for (let e = 0; e < size; e++) x[e] = (y[e]! - u[e]! + z[e]! - v[e]!) / 2 + t[e]! / (2 * rho);
    projectAffine(x, n, groups);
    for (let e = 0; e < size; e++) previous[e] = y[e]! + z[e]!;
    for (let e = 0; e < size; e++) {
      u[e]! += x[e]!;
      v[e]! += x[e]!;
    }
    y = projectSemidefinite(u, n);
    let primal = 0;
    let dual = 0;
    for (let e = 0; e < size; e++) {
      z[e] = Math.max(v[e]!, 0);
      u[e]! -= y[e]!;
      v[e]! -= z[e]!;
      primal += (x[e]! - y[e]!) ** 2 + (x[e]! - z[e]!) ** 2;
      dual += (y[e]! + z[e]! - previous[e]!) ** 2;
    }
    // Norm of a partition's X is the root of its number of groups: residuals are relative to one group's.
    primal = Math.sqrt(primal);
    dual = (rho * Math.sqrt(dual)) / n;
    residual = Math.max(primal, dual);
    if (iterations % 10 === 0 && (maxIterations < 100 || iterations < 0.8 * maxIterations)) {
      const factor = primal > 5 * dual ? 2 : dual > 5 * primal ? 0.5 : 1;
      if (factor !== 1) {
        rho *= factor;
        for (let e = 0; e < size; e++) {
          u[e]! /= factor;
          v[e]! /= factor;
        }
      }
    }
  }
  const matrix = Array.from({ length: n }, (_, i) =>
    Float64Array.from({ length: n }, (_, j) => Math.max(0, (x[i * n + j]! + x[j * n + i]!) / 2)),
  );
  let objective = 0;
  let trace = 0;
  for (let i = 0; i < n; i++) {
    trace += matrix[i]![i]!;
    for (let j = 0; j < n; j++) objective += t[i * n + j]! * unit * matrix[i]![j]!;
  }
  return { matrix, objective, trace, iterations, residual, state: { y, z, u, v, rho } };
}

/** Nearest symmetric matrix with X 1 = 1 (and tr X = k), in place: X + y 1^T + 1 y^T (+ mu I). */
function projectAffine(x: Float64Array, n: number, trace: number | undefined): void {
  const short = new Float64Array(n).fill(1);
  let diagonal = 0;
  for (let i = 0; i < n; i++) {
    diagonal += x[i * n + i]!;
    for (let j = 0; j < n; j++) short[i]! -= x[i * n + j]!;
  }
  let total = 0;
  for (const value of short) total += value;
  const mu = trace === undefined || n === 1 ? 0 : (trace - diagonal - total / n) / (n - 1);
  const sum = (total - n * mu) / (2 * n);
  for (let i = 0; i < n; i++) short[i] = (short[i]! - mu - sum) / n;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) x[i * n + j]! += short[i]! + short[j]!;
    x[i * n + i]! += mu;
  }
}

/** Nearest positive semidefinite matrix: from whichever side of the spectrum is the smaller. */
function projectSemidefinite(a: Float64Array, n: number): Float64Array {
  const { values, vectors } = eigen(Array.from({ length: n }, (_, i) => a.subarray(i * n, (i + 1) * n)));
  const columns = transposed(vectors, n);
  let positive = 0;
  for (const value of values) if (value > 0) positive++;
  const keepPositive = positive <= n / 2;
  const out = keepPositive ? new Float64Array(n * n) : a.slice();
  for (let c = 0; c < n; c++) {
    const value = values[c]!;
    if (keepPositive ? value <= 0 : value >= 0) continue;
    const vector = columns[c]!;
    const factor = keepPositive ? value : -value;
    for (let i = 0; i < n; i++) {
      const scaled = factor * vector[i]!;
      const row = i * n;
      for (let j = 0; j < n; j++) out[row + j]! += scaled * vector[j]!;
    }
  }
  return out;
}

function transposed(vectors: Matrix, n: number): Float64Array[] {
  return Array.from({ length: n }, (_, c) => Float64Array.from({ length: n }, (_, i) => vectors.get(i, c)));
}
