/**
 * f_i(S): how client i fares, by estimate, after tuning on the subset S. From margins and sketches of i's held-out examples under
 * w_S alone: no forward pass, nothing mapped back to the model (P w would carry noise about nine times the signal). Held-out
 * examples are the validation rows, or all rows fold by fold where the problem is cross-fitted. It knows nothing of what the
 * values are used for.
 *
 * Convention: higher is better, so f is minus the mean loss, nats an example.
 */
import { type EstimationProblem, transferShare } from "./problem.js";
import { type Pairs, type SurrogateSolver, subsetExamples } from "./surrogate.js";

/** f_i(S) for i in S: one array a subset, in its order. @param half sees that half of the held-out examples alone */
export function memberValues(
  { losses }: { readonly losses: readonly (readonly Float64Array[])[] },
  half?: Half,
): Float64Array[] {
  return losses.map((members) => Float64Array.from(members, (examples) => -mean(halfOf(examples, half))));
}

/**
 * Held-out losses of (client, weight vector) pairs, nats, at the level the problem is calibrated to: of each of the client's
 * held-out examples.
 * @param weights [k, dim], one matrix a fold (one alone without folds)
 * @param subsets [k] what each weight vector is of. @returns one array a pair
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
    return atCalibratedLevel(problem, pairs, subsets, await solver.exampleLosses(weights[0]!, pairs));
  const result = Array.from(pairs.client, (i) => new Float64Array(folds.of[i]!.length));
  for (let fold = 0; fold < folds.count; fold++) {
    const losses = await solver.exampleLosses(weights[fold]!, pairs);
    losses.forEach((examples, p) => {
      const of = folds.of[pairs.client[p]!]!;
      for (let e = 0; e < of.length; e++) if (of[e] === fold) result[p]![e] = examples[e]!;
    });
  }
  return atCalibratedLevel(problem, pairs, subsets, result);
}

/** Losses of pairs' examples, at the level the problem is calibrated to; as they are where it is not. @param subsets as for `heldOutLosses` */
export function atCalibratedLevel(
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

/** Which half of a client's held-out examples: what one half suggested is believed only where the other half agrees. */
export type Half = 0 | 1;

/** Every second of a client's examples; all of them where there is only one. */
export function halfOf(examples: Float64Array, half: Half | undefined): Float64Array {
  if (half === undefined || examples.length < 2) return examples;
  return examples.filter((_, at) => at % 2 === half);
}

export function mean(values: Float64Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}
