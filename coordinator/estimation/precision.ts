/**
 * The number of subsets and their size: as given, or as many as a standard error of the affinities requires. A first family that
 * covers every pair a few times measures the scatter of f_i(S) over subsets. The error falls with the root of the coverage, which gives
 * the number still needed. It knows nothing of the use of the affinities.
 */
import { KindredError } from "../../shared/base/errors.js";
import { type Affinity, type AffinityErrors, affinityErrors, affinityMatrix } from "./affinity.js";
import { memberValues } from "./evaluate.js";
import { fitHeldOut, type HeldOutFits } from "./held-out.js";
import { type SamplerOptions, type SubsetPlan, sampleSubsets } from "./sampler.js";
import { smallestSize } from "./subset-size.js";
import type { SurrogateSolver } from "./surrogate.js";

/** Coverage of a pair in the first family: the least that gives a deviation. */
const FIRST_COVERAGE = 3;
/** Families drawn at most: the second one gives the deviation to a few percent. */
const FAMILIES = 4;
/** Factor on the coverage that the deviation so far requires. */
const MARGIN = 1.05;

export interface PrecisionOptions extends SamplerOptions {
  /** Standard error of T_ij to reach, root mean square over the pairs, nats. Excludes `subsets`. */
  standardError?: number | undefined;
  /** Largest number of subsets for it. @default 20000 */
  most?: number | undefined;
}

export interface SampledAffinity {
  readonly plan: SubsetPlan;
  readonly fits: HeldOutFits;
  readonly affinity: Affinity;
  readonly errors: AffinityErrors;
}

/**
 * The first family of subsets; the only one unless a standard error is to be reached.
 * @throws {KindredError} `invalid_option` as `sampleSubsets`, and where `subsets` and `standardError` are both given
 */
export function firstSubsets(
  clients: number,
  { standardError, most: _, ...sampling }: PrecisionOptions = {},
): SubsetPlan {
  if (standardError === undefined) return sampleSubsets(clients, sampling);
  if (sampling.subsets !== undefined)
    throw new KindredError(
      "invalid_option",
      "estimation.subsets and estimation.standardError: both set the number of subsets; give one of them",
      { subsets: sampling.subsets, standardError },
    );
  return sampleSubsets(clients, { ...sampling, coverage: FIRST_COVERAGE });
}

/**
 * Draws subsets, solves them and takes the means. With a standard error to reach, draws more until it is reached, all subsets are drawn
 * or their number is `most`; their size is then that of `smallestSize` unless it is given.
 *
 * @param onShare told how far the first family is, 0 .. 1
 * @throws {KindredError} as `firstSubsets`
 */
export async function sampleAffinity(
  solver: SurrogateSolver,
  options: PrecisionOptions = {},
  onShare?: (share: number) => void,
): Promise<SampledAffinity> {
  const { standardError, most = 20_000, ...sampling } = options;
  const clients = solver.problem.clients.length;
  let plan = firstSubsets(clients, options); // invalid options are refused before anything is solved
  if (standardError !== undefined && sampling.size === undefined && sampling.design !== "pairs") {
    sampling.size = await smallestSize(solver, standardError, sampling.seed);
    plan = firstSubsets(clients, { ...sampling, standardError });
  }
  let found = summarised(clients, plan, await fitHeldOut(solver, plan.subsets, undefined, onShare));
  if (standardError === undefined) return found;
  for (let family = 1; family < FAMILIES && found.errors.typical > standardError; family++) {
    const { subsets, pairCoverage } = plan;
    const { typical } = found.errors;
    const asked = Number.isFinite(typical) ? MARGIN * (typical / standardError) ** 2 : 2;
    const growth = Math.min(asked, most / subsets.length);
    if (!(growth > 1)) break;
    plan = sampleSubsets(clients, { ...sampling, coverage: growth * pairCoverage.mean });
    if (plan.subsets.length <= subsets.length) break;
    found = summarised(clients, plan, await extended(solver, plan.subsets, subsets, found.fits));
  }
  return found;
}

function summarised(clients: number, plan: SubsetPlan, fits: HeldOutFits): SampledAffinity {
  const values = memberValues(fits);
  const affinity = affinityMatrix(clients, plan.subsets, values);
  return { plan, fits, affinity, errors: affinityErrors(affinity, plan.subsets, values) };
}

/** Fits of `subsets`, where those of `known` exist. The same seed draws the same first subsets, so most of `known` are among them. */
async function extended(
  solver: SurrogateSolver,
  subsets: readonly Int32Array[],
  known: readonly Int32Array[],
  fits: HeldOutFits,
): Promise<HeldOutFits> {
  const { dim } = solver.problem;
  const place = new Map(known.map((subset, k) => [subset.join(), k]));
  const fresh = subsets.filter((subset) => !place.has(subset.join()));
  const more = await fitHeldOut(solver, fresh);
  let next = 0;
  const source = subsets.map((subset) => {
    const at = place.get(subset.join());
    return at === undefined ? ([more, next++] as const) : ([fits, at] as const);
  });
  return {
    weights: fits.weights.map((_, fold) => {
      const all = new Float64Array(subsets.length * dim);
      source.forEach(([from, at], k) => {
        all.set(from.weights[fold]!.subarray(at * dim, (at + 1) * dim), k * dim);
      });
      return all;
    }),
    losses: source.map(([from, at]) => from.losses[at]!),
    lambda: Float64Array.from(source, ([from, at]) => from.lambda[at]!),
    gradientNorm: Float64Array.from(source, ([from, at]) => from.gradientNorm[at]!),
    steps: fits.steps + more.steps,
    products: fits.products + more.products,
  };
}
