/**
 * The number of groups by the path of lambda: the relaxation with a price on groups, solved for prices from one that leaves one group
 * down; the number whose trace holds over the longest stretch of prices is the one that least depends on the price. It knows nothing
 * of clients.
 */
import { throwIfAborted } from "../../shared/base/errors.js";
import type { SquareMatrix } from "./density.js";
import { solveGroupingSdp } from "./sdp.js";
import { centredSpectrum } from "./spectral.js";

/**
 * Prices tried. With these 8 planted groups of 36 clients are counted, and 10 of 100, in 2 seconds; in noise as large as the signal they
 * are not, where the widest gap of the spectrum still counts 10 of 200.
 */
const PRICES = 20;
/** The trace is only to be rounded. */
const ROUGH = { tolerance: 1e-2, maxIterations: 200 };

/**
 * @param standardised symmetric
 * @param most at most so many groups
 * @returns 2 or more, but for a single client: above some price one group always holds
 */
export async function groupsByPath(
  standardised: SquareMatrix,
  most: number,
  { seed, signal }: { readonly seed: number; readonly signal: AbortSignal | undefined },
): Promise<number> {
  const n = standardised.length;
  if (n <= 2 || most <= 2) return Math.min(n, 2);
  // Above the largest eigenvalue outside the ones a second group costs more than it gains; near the `most`-th further ones pay.
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
