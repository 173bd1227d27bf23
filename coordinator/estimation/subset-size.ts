/**
 * How many clients a subset has, where affinities are to reach a standard error. The smaller the subsets, the more T_ij says of i
 * and j, since fewer others stand beside them; and the more subsets it takes, since one covers fewer pairs. So: the smallest whose
 * affinities are that sure for no more work than the default design takes. It knows nothing of what the affinities are used for.
 */
import { SeededRng } from "../../shared/base/random.js";
import { memberValues } from "./evaluate.js";
import { fitHeldOut } from "./held-out.js";
import { binomial, DEFAULT_COVERAGE, defaultSubsetSize } from "./sampler.js";
import type { SurrogateSolver } from "./surrogate.js";

/** Trial subsets that hold a client: three degrees of freedom each, of which all clients' are pooled. */
const TRIALS = 4;
/** Each size tried is so many times the one before; the trials of 500 clients then take a tenth of the default design's work. */
const GROWTH = 1.6;

/**
 * The smallest size, at most the default one, that is forecast to reach the standard error with no more clients in all its subsets
 * together than the default size has at its coverage; the default size where none is. All pairs are exact and need no trial.
 *
 * The forecast scales the scatter of f_i(S) over random subsets that hold i to those that hold i and j as if the others' effects
 * added up: (size - 2) / (size - 1) of the variance is left. Where they do not it errs, and subsets are added until the error is reached.
 *
 * @param standardError of T_ij, root mean square over the pairs, nats
 */
export async function smallestSize(solver: SurrogateSolver, standardError: number, seed = 0): Promise<number> {
  const n = solver.problem.clients.length;
  const most = defaultSubsetSize(n);
  /** Clients in all subsets of this size together that cover a pair so many times. */
  const work = (size: number, coverage: number) => (coverage * n * (n - 1)) / (size - 1);
  for (let size = 2; size < most; size = Math.max(size + 1, Math.round(size * GROWTH))) {
    const there = binomial(n - 2, size - 2);
    const variance = size === 2 ? 0 : ((size - 2) / (size - 1)) * (await scatter(solver, size, seed));
    // Of variance / c (1 - c / there), the coverage c at which it is the square of the standard error.
    const coverage = variance > 0 ? 1 / (standardError ** 2 / variance + 1 / there) : 1;
    if (work(size, Math.max(1, coverage)) <= work(most, DEFAULT_COVERAGE)) return size;
  }
  return most;
}

/** Variance of f_i(S) over random subsets of this size that hold i, mean over the clients: `TRIALS` random divisions of all clients. */
async function scatter(solver: SurrogateSolver, size: number, seed: number): Promise<number> {
  const n = solver.problem.clients.length;
  const rng = new SeededRng(seed, "trial subsets", size);
  const subsets = Array.from({ length: TRIALS }, () => {
    const order = rng.permutation(n);
    // The last few that are left over start the division anew with the first ones: all subsets have the same size.
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
