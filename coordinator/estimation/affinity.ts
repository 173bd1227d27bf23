/**
 * The affinity matrix: T_ij = mean of f_i(S) over the sampled subsets S that contain both i and j; T_ii over those that contain i
 * (Li et al. 2025, arXiv 2505.21930). Higher is better. Row i holds the affinities of client i, so T is not symmetric.
 * It knows nothing of the origin of f.
 */
import { KindredError } from "../../shared/base/errors.js";
import { binomial } from "./sampler.js";

export interface Affinity {
  /** T: n rows of n values, nats per example, higher is better. */
  readonly matrix: readonly Float64Array[];
  /** Number of subsets in each mean: n rows of n. */
  readonly counts: readonly Int32Array[];
}

/**
 * @param values f_i(S) for i in S, in the subset's order
 * @throws {KindredError} `invalid_option` where a pair is in no subset
 */
export function affinityMatrix(
  clients: number,
  subsets: readonly ArrayLike<number>[],
  values: readonly Float64Array[],
): Affinity {
  const matrix = Array.from({ length: clients }, () => new Float64Array(clients));
  const counts = Array.from({ length: clients }, () => new Int32Array(clients));
  subsets.forEach((subset, k) => {
    for (let a = 0; a < subset.length; a++) {
      const i = subset[a]!;
      for (let b = 0; b < subset.length; b++) {
        matrix[i]![subset[b]!]! += values[k]![a]!;
        counts[i]![subset[b]!]!++;
      }
    }
  });
  for (let i = 0; i < clients; i++)
    for (let j = 0; j < clients; j++) {
      const count = counts[i]![j]!;
      if (count === 0)
        throw new KindredError(
          "invalid_option",
          `no subset contains both client ${i} and client ${j}; sample subsets that cover all pairs`,
          { i, j },
        );
      matrix[i]![j]! /= count;
    }
  return { matrix, counts };
}

export interface AffinityErrors {
  /** Standard error of T_ij: n rows of n, nats. */
  readonly matrix: readonly Float64Array[];
  /** Root mean square over i != j. */
  readonly typical: number;
}

/**
 * Standard errors of T by the choice of subsets: the distance of T_ij from the mean over all subsets of this size that contain i and j.
 * A pair has few subsets, so the deviation of f_i(S) about T_ij is pooled over all j. Subsets are drawn without repetition, so the
 * variance of a mean over c of all C subsets falls by 1 - c / C (Cochran 1977, section 2.6): where all were drawn, T is exact. The
 * uncertainty by the choice of held-out examples is not included: all T_ij of a row share it.
 *
 * @param values as for `affinityMatrix`
 */
export function affinityErrors(
  { matrix, counts }: Affinity,
  subsets: readonly ArrayLike<number>[],
  values: readonly Float64Array[],
): AffinityErrors {
  const n = matrix.length;
  const squares = new Float64Array(n);
  const freedom = new Float64Array(n);
  subsets.forEach((subset, k) => {
    for (let a = 0; a < subset.length; a++) {
      const i = subset[a]!;
      for (let b = 0; b < subset.length; b++)
        if (b !== a) squares[i]! += (values[k]![a]! - matrix[i]![subset[b]!]!) ** 2;
    }
  });
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) if (j !== i) freedom[i]! += counts[i]![j]! - 1;
  let sum = 0;
  const size = subsets[0]!.length;
  const errors = matrix.map((_, i) => {
    // With one subset per pair the deviation is unknown.
    const variance = freedom[i]! > 0 ? squares[i]! / freedom[i]! : Number.POSITIVE_INFINITY;
    const row = Float64Array.from(counts[i]!, (count, j) => {
      const possible = j === i ? binomial(n - 1, size - 1) : binomial(n - 2, size - 2);
      return count >= possible ? 0 : Math.sqrt((variance / count) * (1 - count / possible));
    });
    row.forEach((error, j) => {
      if (j !== i) sum += error ** 2;
    });
    return row;
  });
  return { matrix: errors, typical: n > 1 ? Math.sqrt(sum / (n * (n - 1))) : 0 };
}
