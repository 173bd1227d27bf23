/**
 * f_i(S): the estimated performance of client i after tuning on the subset S. It is computed from margins and sketches of i's held-out
 * examples under w_S alone: without a forward pass, and without mapping weights back to the model (the noise of P w is about nine times
 * its signal). Held-out examples are the validation rows, or all rows fold by fold where the problem is cross-fitted. It knows nothing
 * of the use of the values.
 *
 * Convention: higher is better, so f is minus the mean loss, nats per example.
 */
import { type EstimationProblem, transferShare } from "./problem.js";
import { type Pairs, type SurrogateSolver, subsetExamples } from "./surrogate.js";

/** f_i(S) for i in S: one array per subset, in its order. @param half takes the mean over this half of the held-out examples alone */
export function memberValues(
  { losses }: { readonly losses: readonly (readonly Float64Array[])[] },
  half?: Half,
): Float64Array[] {
  return losses.map((members) => Float64Array.from(members, (examples) => -mean(halfOf(examples, half))));
}

/**
 * Calibrated losses, nats, of each held-out example of the clients in (client, weight vector) pairs.
 * @param weights [k, dim], one matrix per fold (one matrix without folds)
 * @param subsets [k] the subset of each weight vector. @returns one array per pair
 */
export async function heldOutLosses(
  solver: SurrogateSolver,
  weights: readonly Float64Array[],
  pairs: Pairs,
  subsets: readonly ArrayLike<number>[],
): Promise<Float64Array[]> {
  const { problem } = solver;
  const { folds } = problem;
  if (folds === undefined)
    return calibratedLosses(problem, pairs, subsets, await solver.exampleLosses(weights[0]!, pairs));
  const result = Array.from(pairs.client, (i) => new Float64Array(folds.of[i]!.length));
  for (let fold = 0; fold < folds.count; fold++) {
    const losses = await solver.exampleLosses(weights[fold]!, pairs);
    losses.forEach((examples, p) => {
      const of = folds.of[pairs.client[p]!]!;
      for (let e = 0; e < of.length; e++) if (of[e] === fold) result[p]![e] = examples[e]!;
    });
  }
  return calibratedLosses(problem, pairs, subsets, result);
}

/** Applies the problem's calibration, if any, to losses of pairs' examples. @param subsets as for `heldOutLosses` */
export function calibratedLosses(
  problem: EstimationProblem,
  { client, weight }: Pairs,
  subsets: readonly ArrayLike<number>[],
  losses: Float64Array[],
): Float64Array[] {
  const { affineCalibrations } = problem;
  if (affineCalibrations === undefined) return losses;
  const examples = subsets.map((subset) => subsetExamples(problem, subset));
  return losses.map((of, p) => {
    const { scale, offset, steps } = affineCalibrations[client[p]!]!;
    const share = transferShare(problem, client[p]!, examples[weight[p]!]!);
    return of.map((loss) => scale * loss + offset + steps * share);
  });
}

/** One half of a client's held-out examples: a result found on one half is accepted only where the other half confirms it. */
export type Half = 0 | 1;

/** Every second example of a client; the one example where there is only one. */
export function halfOf(examples: Float64Array, half: Half | undefined): Float64Array {
  if (half === undefined || examples.length < 2) return examples;
  return examples.filter((_, at) => at % 2 === half);
}

export function mean(values: Float64Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}
