/**
 * The semidefinite relaxation of grouping: X stands for sum over groups C of 1_C 1_C^T / |C|.
 *
 *   max <T, X> - lambda tr X   subject to   X positive semidefinite, X >= 0 entrywise, X 1 = 1   [and tr X = m]
 *
 * (Peng and Wei 2007 for k-means; with lambda in place of m, Yan, Sarkar and Cheng 2018.) With C = T - lambda I, e = 1 and
 * P = I - e e^T / n every feasible X is e e^T / n + Y with Y e = 0, so that the constraints fall into two sets whose nearest points
 * are known: Y positive semidefinite in the complement of e (with trace m - 1), from leading eigenpairs alone since Y is of low
 * rank; and Y >= -1 / n. Solved by the alternating direction method of multipliers between the two (Boyd et al. 2011).
 *
 * Every solution comes with a certificate. The multipliers N >= 0 of the second set give, for every feasible X,
 *
 *   <C, X>  <=  <C + N, X>  =  e^T (C + N) e / n + <P (C + N) P, Y>  <=  e^T (C + N) e / n + (tr X - 1) max(eigenvalues of P (C + N) P)
 *
 * and a Cholesky factorisation proves the bound on the largest eigenvalue. The solution itself is feasible: where the iterate violates
 * X >= 0, it is mixed with the interior point that treats all clients alike. Its rounding to a partition is feasible too: U U^T
 * with U >= 0 of m columns and U U^T e = e has trace m and eigenvalues in 0 .. 1, hence is a projection, hence every nonnegative
 * factorisation of rank m is a partition, and a search among partitions is the search among these. Where the relaxation is
 * tight that ends the solve in half the iterations; otherwise the low-rank point is not optimal and the iteration continues.
 */
import { KindredError } from "../../shared/base/errors.js";
import { SeededRng } from "../../shared/base/random.js";
import { type EventLoopYield, eventLoopYield } from "../algebra/yield.js";
import { density, type SquareMatrix } from "./density.js";
import type { Partition } from "./partition.js";
import { roundPoints } from "./spectral.js";
import { dot, LeadingPairs } from "./subspace.js";

export interface SdpOptions {
  /** Price of a group. Exclusive with `groups`. */
  lambda?: number | undefined;
  /** tr X = groups. Exclusive with `lambda`. */
  groups?: number | undefined;
  /** Relative duality gap to reach. @default 1e-4 */
  tolerance?: number | undefined;
  /** @default 1000 */
  maxIterations?: number | undefined;
  /** Of the roundings and of the initial vectors. @default 0 */
  seed?: number | undefined;
  signal?: AbortSignal | undefined;
}

export interface SdpSolution {
  /** X, feasible to rounding: symmetric, positive semidefinite, nonnegative, rows sum to 1 (and the trace to `groups`). */
  readonly matrix: Float64Array[];
  /** <T, X> - lambda tr X. */
  readonly objective: number;
  /** Proved upper bound on the objective of every feasible X. */
  readonly bound: number;
  /** (bound - objective) / |objective|: the tolerance, or more where the iterations ran out. */
  readonly gap: number;
  /** tr X: the relaxed number of groups. */
  readonly trace: number;
  /** The densest rounding, of round(trace) groups; optimal among all partitions with that many where its objective equals X's. */
  readonly partition: Partition;
  readonly iterations: number;
}

/** Over-relaxation of the alternating directions. */
const OVER = 1.6;
/** Iterations between two checks of the gap. */
const CHECK = 10;
/** The penalty is adapted up to this iteration, so that the method converges. */
const LAST_ADAPTED = 2000;
/**
 * Ratio of the residuals at which the penalty is changed, and the factor. With 2 and 2 a relaxation far from tight takes half the
 * iterations at n = 100, but a tight one twice as many at n = 500, where iterations are expensive.
 */
const UNEVEN = 4;
const PENALTY_STEP = 1.5;
/** Largest gap for which a proof is tried. */
const MOST_GAP = 1e12;
/** Eigenpairs tracked beyond the rank: the rank may grow, and the filter needs a gap. */
const SPARE_SHARE = 1.25;
const SPARE = 5;

/**
 * @param affinity T; its symmetric part is what counts
 * @throws {KindredError} `invalid_option` unless exactly one of lambda and groups is given, groups in 1 .. n; `invalid_data` for
 *   entries whose squares overflow
 */
export async function solveGroupingSdp(affinity: SquareMatrix, options: SdpOptions): Promise<SdpSolution> {
  const n = affinity.length;
  const { lambda, groups, tolerance = 1e-4, maxIterations = 1000, seed = 0, signal } = options;
  if ((lambda === undefined) === (groups === undefined))
    throw new KindredError("invalid_option", "lambda and groups: the relaxation needs exactly one of them", {});
  if (groups !== undefined && !(groups >= 1 && groups <= n))
    throw new KindredError("invalid_option", `groups must be 1..${n}, got ${groups}`, { groups });
  const yieldToEventLoop = eventLoopYield(signal);
  const matrix = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++)
      matrix[i * n + j] = (affinity[i]![j]! + affinity[j]![i]!) / 2 - (i === j ? (lambda ?? 0) : 0);
  if (!Number.isFinite(matrix.reduce((sum, entry) => sum + entry ** 2, 0)))
    throw new KindredError("invalid_data", "affinities: some are not finite or too large to be squared");
  const relaxation = new Relaxation(matrix, n, groups, new SeededRng(seed, "sdp"), yieldToEventLoop);
  const rows = Array.from({ length: n }, (_, i) => matrix.subarray(i * n, (i + 1) * n));
  // The feasible set is a single point.
  if (n === 1 || groups === 1 || groups === n) {
    const partition = await roundPoints([], rows, n === 1 ? 1 : groups!, seed, yieldToEventLoop);
    const objective = density(rows, partition);
    return { ...ofPartition(partition, n), objective, bound: objective, gap: 0, partition, iterations: 0 };
  }
  let partition: Partition | undefined;
  let value = Number.NEGATIVE_INFINITY;
  let nextRounding = CHECK;
  for (let iteration = 1; ; iteration++) {
    await relaxation.step(iteration % CHECK === 1);
    const last = iteration >= maxIterations;
    if (iteration % CHECK !== 0 && !last) continue;
    const point = relaxation.feasible();
    if (iteration >= nextRounding || last) {
      // A rounding costs as much as some iterations, and later ones change less and less.
      nextRounding = 2 * iteration;
      const wanted = Math.min(n, Math.max(1, Math.round(point.trace)));
      const rounded = await roundPoints(relaxation.embedding(wanted), rows, wanted, seed, yieldToEventLoop);
      const rounding = density(rows, rounded);
      if (rounding > value) {
        partition = rounded;
        value = rounding;
      }
    }
    const integral = groups === undefined || Number.isInteger(groups);
    const objective = integral ? Math.max(point.objective, value) : point.objective;
    const certificate = await relaxation.certificate(objective, tolerance, last);
    if (certificate !== undefined) {
      const best = objective > point.objective ? ofPartition(partition!, n) : relaxation.answer(point);
      return { ...best, objective, ...certificate, partition: partition!, iterations: iteration };
    }
    if (iteration < LAST_ADAPTED) relaxation.balance();
  }
}

/** X of a partition. */
function ofPartition(partition: Partition, n: number): Pick<SdpSolution, "matrix" | "trace"> {
  const matrix = Array.from({ length: n }, () => new Float64Array(n));
  for (const group of partition) for (const i of group) for (const j of group) matrix[i]![j] = 1 / group.length;
  return { matrix, trace: partition.length };
}

/** A feasible X = share * (e e^T / n + Y) + (1 - share) * (the interior point of the same trace). */
interface FeasiblePoint {
  readonly objective: number;
  readonly trace: number;
  readonly share: number;
}

/** The iteration's state. Symmetric matrices are packed, row i's entries 0 .. i one after the other, unless said otherwise. */
class Relaxation {
  /** Target of the next projection onto the first set, up to the centring: Z - U + C / rho; full. */
  private readonly target: Float64Array;
  /** The second set's point and the scaled multipliers, N = -rho U. */
  private readonly z: Float64Array;
  private readonly u: Float64Array;
  private readonly pairs: LeadingPairs;
  /** Y = factor factor^T, [n, rank]. */
  private factor = new Float64Array(0);
  private rank = 0;
  private rho: number;
  private primal = 0;
  private dual = 0;
  /** Of Y: <C, e e^T / n + Y>, its trace and smallest entry. */
  private value = 0;
  private trace = 0;
  private least = 0;
  private readonly total: number;
  private readonly diagonal: number;
  private readonly scale: number;

  constructor(
    /** C, full. */
    private readonly matrix: Float64Array,
    private readonly n: number,
    private readonly groups: number | undefined,
    rng: SeededRng,
    private readonly yieldToEventLoop: EventLoopYield,
  ) {
    let total = 0;
    let diagonal = 0;
    let squares = 0;
    for (let i = 0; i < n; i++) {
      diagonal += matrix[i * n + i]!;
      for (let j = 0; j < n; j++) {
        total += matrix[i * n + j]!;
        squares += matrix[i * n + j]! ** 2;
      }
    }
    this.total = total;
    this.diagonal = diagonal;
    this.scale = Math.sqrt(squares) / n;
    // The solution's norm is the root of its trace, the matrix's is that of its entries: this makes the two comparable.
    this.rho = (n * this.scale) / Math.sqrt(Math.max(groups ?? 2, 2) - 1) || 1;
    this.z = new Float64Array((n * (n + 1)) / 2);
    this.u = new Float64Array((n * (n + 1)) / 2);
    this.target = matrix.map((c) => c / this.rho);
    this.pairs = new LeadingPairs(n, Math.min(n - 1, Math.ceil(groups ?? Math.sqrt(n)) + SPARE), rng);
  }

  /** One iteration. @param renew whether the lower end of the spectrum is computed again */
  async step(renew: boolean): Promise<void> {
    const { pairs, n, groups } = this;
    await pairs.follow(this.target, renew, this.yieldToEventLoop);
    const values =
      groups === undefined ? pairs.values.map((value) => Math.max(value, 0)) : onSimplex(pairs.values, groups - 1);
    let rank = 0;
    while (rank < values.length && values[rank]! > 0) rank++;
    this.rank = rank;
    this.factor = new Float64Array(n * rank);
    for (let k = 0; k < rank; k++) {
      const root = Math.sqrt(values[k]!);
      for (let i = 0; i < n; i++) this.factor[i * rank + k] = root * pairs.vectors[k * n + i]!;
    }
    const wanted = Math.min(n - 1, Math.floor(SPARE_SHARE * rank) + SPARE);
    if (wanted > pairs.count || wanted < pairs.count - SPARE) pairs.resize(wanted);
    await this.update();
  }

  /** The second set's projection, the multipliers and the next target. */
  private async update(): Promise<void> {
    const { n, rank, factor, z, u, target, matrix, rho } = this;
    let [primal, dual, value, trace, least] = [0, 0, this.total / n, 0, 0];
    for (let i = 0, at = 0; i < n; i++) {
      for (let j = 0; j <= i; j++, at++) {
        const weight = i === j ? 1 : 2;
        const y = dot(factor, i * rank, factor, j * rank, rank);
        const c = matrix[i * n + j]!;
        if (y < least) least = y;
        if (i === j) trace += y;
        value += weight * c * y;
        const relaxed = OVER * y + (1 - OVER) * z[at]! + u[at]!;
        const next = Math.max(relaxed, -1 / n);
        primal += weight * (y - next) ** 2;
        dual += weight * (next - z[at]!) ** 2;
        z[at] = next;
        u[at] = relaxed - next;
        target[i * n + j] = target[j * n + i] = next - u[at]! + c / rho;
      }
      if (i % 16 === 0) await this.yieldToEventLoop();
    }
    this.primal = Math.sqrt(primal);
    this.dual = Math.sqrt(dual);
    this.value = value;
    this.trace = 1 + trace;
    this.least = least;
  }

  /** Keeps the two residuals at a similar size by changing the penalty. */
  balance(): void {
    const { n, u, z, target, matrix } = this;
    const factor =
      this.primal > UNEVEN * this.dual ? PENALTY_STEP : this.dual > UNEVEN * this.primal ? 1 / PENALTY_STEP : 1;
    if (factor === 1) return;
    this.rho *= factor;
    for (let i = 0, at = 0; i < n; i++)
      for (let j = 0; j <= i; j++, at++) {
        u[at]! /= factor;
        target[i * n + j] = target[j * n + i] = z[at]! - u[at]! + matrix[i * n + j]! / this.rho;
      }
  }

  /** The nearest feasible point towards the interior point of the same trace, whose entries off the diagonal are equal. */
  feasible(): FeasiblePoint {
    const { n } = this;
    const trace = Math.min(this.groups ?? this.trace, n);
    const off = (1 - trace / n) / (n - 1);
    const violation = Math.max(0, -(this.least + 1 / n));
    const share = violation === 0 ? 1 : off / (off + violation);
    const inside = (this.total - this.diagonal) * off + (this.diagonal * trace) / n;
    return { trace, share, objective: share * this.value + (1 - share) * inside };
  }

  answer({ trace, share }: FeasiblePoint): Pick<SdpSolution, "matrix" | "trace"> {
    const { n, factor, rank } = this;
    const off = (1 - trace / n) / (n - 1);
    const matrix = Array.from({ length: n }, () => new Float64Array(n));
    for (let i = 0; i < n; i++)
      for (let j = 0; j <= i; j++) {
        const x = 1 / n + dot(factor, i * rank, factor, j * rank, rank);
        matrix[i]![j] = matrix[j]![i] = Math.max(0, share * x + (1 - share) * (i === j ? trace / n : off));
      }
    return { matrix, trace };
  }

  /** A point for each of the n items: rows of the leading eigenvectors of Y, each times the root of its eigenvalue. */
  embedding(most: number): Float64Array[] {
    const { n, factor, rank } = this;
    return Array.from({ length: n }, (_, i) => factor.slice(i * rank, i * rank + Math.min(rank, most)));
  }

  /**
   * Proves by the current multipliers that no feasible point is better than `objective` by more than the tolerance; on the last
   * call by the smallest gap that can be proved, in powers of 2.
   */
  async certificate(
    objective: number,
    tolerance: number,
    last: boolean,
  ): Promise<{ bound: number; gap: number } | undefined> {
    const { n, u, rho, matrix, groups } = this;
    const raised = new Float64Array(n * n);
    let sum = this.total;
    for (let i = 0, at = 0; i < n; i++)
      for (let j = 0; j <= i; j++, at++) {
        const multiplier = Math.max(0, -rho * u[at]!);
        sum += (i === j ? 1 : 2) * multiplier;
        raised[i * n + j] = raised[j * n + i] = matrix[i * n + j]! + multiplier;
      }
    // Every feasible X has X_ii <= 1, so its trace is at most n.
    const spread = (groups ?? n) - 1;
    const size = Math.max(Math.abs(objective), this.scale, Number.MIN_VALUE);
    for (let gap = tolerance; ; gap *= 2) {
      const bound = objective + gap * size;
      const eigenvalue = (bound - sum / n) / spread;
      const holds = (groups !== undefined || eigenvalue >= 0) && (await this.isUpperBound(raised, eigenvalue));
      if (holds) return { bound, gap };
      if (!last) return undefined;
      if (gap > MOST_GAP) return { bound: Number.POSITIVE_INFINITY, gap: Number.POSITIVE_INFINITY };
    }
  }

  /** Whether the value bounds all eigenvalues of P A P in the complement of the ones, by a Cholesky factorisation. */
  private async isUpperBound(a: Float64Array, value: number): Promise<boolean> {
    const { n } = this;
    const mean = new Float64Array(n);
    let all = 0;
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) mean[i]! += a[i * n + j]! / n;
      all += mean[i]! / n;
    }
    // Any positive value serves in the direction of the ones.
    const ones = (Math.abs(value) + n * this.scale + 1) / n;
    const lower = new Float64Array(n * n);
    for (let i = 0; i < n; i++) {
      const row = i * n;
      for (let j = 0; j <= i; j++) {
        const entry = (i === j ? value : 0) - (a[row + j]! - mean[i]! - mean[j]! + all) + ones;
        const rest = entry - dot(lower, row, lower, j * n, j);
        if (j < i) lower[row + j] = rest / lower[j * n + j]!;
        else if (rest > 0) lower[row + i] = Math.sqrt(rest);
        else return false;
      }
      await this.yieldToEventLoop();
    }
    return true;
  }
}

/** The nearest point with nonnegative entries that sum to `sum`. @param values descending */
function onSimplex(values: Float64Array, sum: number): Float64Array {
  let excess = -sum;
  let threshold = 0;
  for (let k = 0; k < values.length; k++) {
    excess += values[k]!;
    if (values[k]! - excess / (k + 1) <= 0) break;
    threshold = excess / (k + 1);
  }
  return values.map((value) => Math.max(0, value - threshold));
}
