/**
 * The number of clients in a subset, where affinities are to reach a standard error. With smaller subsets T_ij depends less on clients
 * other than i and j, but more subsets are needed, since a subset covers fewer pairs. The choice is the smallest size that reaches the
 * standard error for no more work than the default design takes. It knows nothing of the use of the affinities.
 */
import { SeededRng } from "../../shared/base/random.js";
import { memberValues } from "./evaluate.js";
import { fitHeldOut } from "./held-out.js";
import { binomial, DEFAULT_COVERAGE, defaultSubsetSize } from "./sampler.js";
import type { SurrogateSolver } from "./surrogate.js";

/** Trial subsets per client: three degrees of freedom, pooled over all clients. */
const TRIALS = 4;
/** Ratio of the sizes tried; the trials of 500 clients then take a tenth of the default design's work. */
const GROWTH = 1.6;

/**
 * The smallest size, at most the default one, that is predicted to reach the standard error with no more clients in all its subsets
 * together than the default size has at its coverage; else the default size. All pairs are exact and need no trial.
 *
 * The prediction scales the variance of f_i(S) over random subsets that contain i to those that contain i and j, as if the effects of
 * the others added up: (size - 2) / (size - 1) of it remains. Where effects do not add up it errs, and subsets are added until the
 * standard error is reached.
 *
 * @param standardError of T_ij, root mean square over the pairs, nats
 */
export async function smallestSize(solver: SurrogateSolver, standardError: number, seed = 0): Promise<number> {
  const n = solver.problem.clients.length;
  const most = defaultSubsetSize(n);
  /** Clients in all subsets of this size together at this coverage of a pair. */
  const work = (size: number, coverage: number) => (coverage * n * (n - 1)) / (size - 1);
  for (let size = 2; size < most; size = Math.max(size + 1, Math.round(size * GROWTH))) {
    const possible = binomial(n - 2, size - 2);
    const variance = size === 2 ? 0 : ((size - 2) / (size - 1)) * (await scatter(solver, size, seed));
    // The coverage c at which variance / c (1 - c / possible) is the square of the standard error.
    const coverage = variance > 0 ? 1 / (standardError ** 2 / variance + 1 / possible) : 1;
    if (work(size, Math.max(1, coverage)) <= work(most, DEFAULT_COVERAGE)) return size;
  }
  return most;
}

/** Variance of f_i(S) over random subsets of this size that contain i, mean over the clients, by `TRIALS` random divisions of all. */
async function scatter(solver: SurrogateSolver, size: number, seed: number): Promise<number> {
  const n = solver.problem.clients.length;
  const rng = new SeededRng(seed, "trial subsets", size);
  const subsets = Array.from({ length: TRIALS }, () => {
    const order = rng.permutation(n);
    // Where the last subset lacks clients, the first ones of the order fill it: all subsets have the same size.
    return Array.from({ length: Math.ceil(n / size) }, (_, s) =>
      Int32Array.from({ length: size }, (__, at) => order[(s * size + at) % n]!).sort(),
    );
  }).flat();
  const values = memberValues(await fitHeldOut(solver, subsets));
  const seen = Array.from({ length: n }, (): number[] => []);
  subsets.forEach((subset, k) => {
    subset.forEach((client, at) => {
      seen[client]!.push(values[k]![at]!);
    });
  });
  let squares = 0;
  let freedom = 0;
  for (const client of seen) {
    const centre = client.reduce((sum, value) => sum + value, 0) / client.length;
    squares += client.reduce((sum, value) => sum + (value - centre) ** 2, 0);
    freedom += client.length - 1;
  }
  return squares / freedom;
}
