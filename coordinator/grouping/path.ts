/**
 * The number of groups by the path of lambda: the relaxation with a price per group, solved for falling prices, from one at which a
 * single group is optimal. The result is the number of groups that is optimal over the longest range of prices. It knows nothing of
 * clients.
 */
import { throwIfAborted } from "../../shared/base/errors.js";
import type { SquareMatrix } from "./density.js";
import { solveGroupingSdp } from "./sdp.js";
import { centredSpectrum } from "./spectral.js";

/**
 * Prices tried. They find 8 planted groups of 36 clients, and 10 of 100, in 2 seconds; with noise as large as the signal they do not,
 * where the widest gap of the spectrum still finds 10 of 200.
 */
const PRICES = 20;
/** The trace is rounded to an integer. */
const ROUGH = { tolerance: 1e-2, maxIterations: 200 };

/**
 * @param standardised symmetric
 * @param most largest number of groups
 * @returns 2 or more, except for a single client: above some price one group is always optimal
 */
export async function groupsByPath(
  standardised: SquareMatrix,
  most: number,
  { seed, signal }: { readonly seed: number; readonly signal: AbortSignal | undefined },
): Promise<number> {
  const n = standardised.length;
  if (n <= 2 || most <= 2) return Math.min(n, 2);
  // Above the largest eigenvalue outside the ones a second group costs more than it gains; near the `most`-th more groups pay.
  const spectrum = await centredSpectrum(standardised);
  const highest = spectrum[0]!;
  const lowest = spectrum[Math.min(n, most) - 1]!;
  const stretch = new Map<number, number>();
  for (let step = 0; step < PRICES; step++) {
    throwIfAborted(signal);
    const lambda = highest - ((step + 0.5) / PRICES) * (highest - lowest);
    const { trace } = await solveGroupingSdp(standardised, { ...ROUGH, lambda, seed, signal });
    const groups = Math.round(trace);
    if (groups > most) break;
    if (groups > 1) stretch.set(groups, (stretch.get(groups) ?? 0) + 1);
  }
  let best = 2;
  for (const [groups, prices] of stretch) if (prices > (stretch.get(best) ?? 0)) best = groups;
  return best;
}
