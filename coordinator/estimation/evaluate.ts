/**
 * f_i(S): how client i fares, by estimate, after tuning on the subset S. From margins and sketches of i's held-out examples under
 * w_S alone: no forward pass, nothing mapped back to the model (P w would carry noise about nine times the signal). Held-out
 * examples are the validation rows, or all rows fold by fold where the problem is cross-fitted. It knows nothing of what the
 * values are used for.
 *
 * Convention: higher is better, so f is minus the mean loss, nats an example.
 */
import type { Pairs, SubsetFits, SurrogateSolver } from "./surrogate.js";

/** The surrogates of some subsets: one set of fits, or one a held-out fold. */
export type FoldFits = readonly SubsetFits[];

/** Solves the surrogates of the subsets, with each fold held out in turn where the problem has folds. */
export async function fitFolds(solver: SurrogateSolver, subsets: readonly ArrayLike<number>[]): Promise<FoldFits> {
  const { folds } = solver.problem;
  if (folds === undefined) return [await solver.fit(subsets)];
  const fits: SubsetFits[] = [];
  for (let fold = 0; fold < folds.count; fold++) fits.push(await solver.fit(subsets, fold));
  return fits;
}

/**
 * Held-out losses of (client, weight vector) pairs, nats: of each of the client's held-out examples.
 * @param weights [k, dim], one matrix a fold (one alone without folds). @returns one array a pair
 */
export async function heldOutLosses(
  solver: SurrogateSolver,
  weights: readonly Float64Array[],
  pairs: Pairs,
): Promise<Float64Array[]> {
  const { folds } = solver.problem;
  if (folds === undefined) return solver.exampleLosses(weights[0]!, pairs);
  const result = Array.from(pairs.client, (i) => new Float64Array(folds.of[i]!.length));
  for (let fold = 0; fold < folds.count; fold++) {
    const losses = await solver.exampleLosses(weights[fold]!, pairs);
    losses.forEach((examples, p) => {
      const of = folds.of[pairs.client[p]!]!;
      for (let e = 0; e < of.length; e++) if (of[e] === fold) result[p]![e] = examples[e]!;
    });
  }
  return result;
}

/** All (member, subset) pairs, subset by subset. */
export function memberPairs(subsets: readonly ArrayLike<number>[]): Pairs {
  const client: number[] = [];
  const weight: number[] = [];
  subsets.forEach((subset, k) => {
    for (let s = 0; s < subset.length; s++) {
      client.push(subset[s]!);
      weight.push(k);
    }
  });
  return { client: Int32Array.from(client), weight: Int32Array.from(weight) };
}

/** f_i(S) for i in S. @returns one array a subset, in its order. @param fits of the same subsets, from `fitFolds` */
export async function memberValues(
  solver: SurrogateSolver,
  subsets: readonly ArrayLike<number>[],
  fits: FoldFits,
): Promise<Float64Array[]> {
  const values = await pairValues(
    solver,
    fits.map((fit) => fit.weights),
    memberPairs(subsets),
  );
  let at = 0;
  return subsets.map((subset) => {
    at += subset.length;
    return values.slice(at - subset.length, at);
  });
}

/** f of arbitrary (client, weight vector) pairs. @param weights as in `heldOutLosses`. @returns [pairs] */
export async function pairValues(
  solver: SurrogateSolver,
  weights: readonly Float64Array[],
  pairs: Pairs,
): Promise<Float64Array> {
  const losses = await heldOutLosses(solver, weights, pairs);
  return Float64Array.from(losses, (examples) => -mean(examples));
}

export function mean(values: Float64Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}
