/**
 * Agreement of an estimate with measurements: losses of the members of subsets, and the affinities that follow. It knows nothing of the
 * origin of either.
 */
import { affinityMatrix } from "../../../coordinator/estimation/affinity.js";
import { explained, mean, spearman } from "../harness/statistics.js";

/** Of k subsets of datasets. Losses are [k][members], nats per row, in the order of the subset. */
export interface Compared {
  readonly datasets: number;
  readonly subsets: readonly ArrayLike<number>[];
  readonly truth: readonly (readonly number[])[];
  readonly estimate: readonly (readonly number[])[];
  /** [datasets] loss of each dataset's own adapter, real and estimated. */
  readonly alone: { readonly truth: readonly number[]; readonly estimate: readonly number[] };
}

export interface Agreement {
  /** Mean over (dataset, subset) of |estimate - truth| / truth. */
  readonly relativeError: number;
  /** Mean of |estimate - truth|, nats per row. */
  readonly error: number;
  /** |mean of the estimates - mean of the truths| / mean of the truths of a subset, its mean over subsets. */
  readonly subsetError: number;
  /** Share of the variance of f_i(S) explained, over all pairs of dataset and subset. */
  readonly explained: number;
  /** The same with each dataset's mean taken off truth and estimate. */
  readonly explainedWithin: number;
  /** Spearman's correlation of f_i(S). */
  readonly rank: number;
  /** Of f_i(S) - f_i({i}). */
  readonly rankOfChange: number;
  /** Of the affinities T_ij, i != j, rows standardised; NaN where a pair of datasets has no subset. */
  readonly rankOfAffinity: number;
}

export function agreementOf({ datasets, subsets, truth, estimate, alone }: Compared): Agreement {
  const pairs = subsets.flatMap((subset, k) =>
    Array.from(subset, (i, at) => ({ i, truth: truth[k]![at]!, estimate: estimate[k]![at]! })),
  );
  const real = pairs.map((pair) => pair.truth);
  const told = pairs.map((pair) => pair.estimate);
  const centred = (of: (pair: (typeof pairs)[number]) => number): number[] => {
    const middle = Array.from({ length: datasets }, (_, i) => mean(pairs.filter((pair) => pair.i === i).map(of)));
    return pairs.map((pair) => of(pair) - middle[pair.i]!);
  };
  return {
    relativeError: mean(pairs.map((pair) => Math.abs(pair.estimate - pair.truth) / pair.truth)),
    error: mean(pairs.map((pair) => Math.abs(pair.estimate - pair.truth))),
    subsetError: mean(truth.map((losses, k) => Math.abs(mean(estimate[k]!) - mean(losses)) / mean(losses))),
    explained: explained(real, told),
    explainedWithin: explained(
      centred((pair) => pair.truth),
      centred((pair) => pair.estimate),
    ),
    rank: spearman(real, told),
    rankOfChange: spearman(
      pairs.map((pair) => pair.truth - alone.truth[pair.i]!),
      pairs.map((pair) => pair.estimate - alone.estimate[pair.i]!),
    ),
    rankOfAffinity: covers(datasets, subsets)
      ? spearman(affinities(datasets, subsets, truth), affinities(datasets, subsets, estimate))
      : Number.NaN,
  };
}

/** T_ij of i != j, row by row. */
function affinities(
  datasets: number,
  subsets: readonly ArrayLike<number>[],
  losses: readonly (readonly number[])[],
): number[] {
  const values = losses.map((members) => Float64Array.from(members, (loss) => -loss));
  return affinityMatrix(datasets, subsets, values).matrix.flatMap((row, i) => {
    const others = Array.from(row).filter((_, j) => j !== i);
    const middle = mean(others);
    const deviation = Math.sqrt(mean(others.map((value) => (value - middle) ** 2)));
    // A dataset that fares alike with all says nothing of any.
    return others.map((value) => (deviation > 0 ? (value - middle) / deviation : 0));
  });
}

function covers(datasets: number, subsets: readonly ArrayLike<number>[]): boolean {
  const seen = new Set(
    subsets.flatMap((subset) => Array.from(subset, (i) => Array.from(subset, (j) => `${i} ${j}`)).flat()),
  );
  return seen.size === datasets ** 2;
}
