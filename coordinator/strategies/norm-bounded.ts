/**
 * Norm bounding (Sun et al. 2019, arXiv 1911.07963): an update longer than a norm is shortened to it before the mean, so that one
 * client moves the mean by at most its share of that norm. Where no norm is given it is the median of the round's own norms, which
 * fewer than half of the clients cannot carry off.
 *
 * The mean of start + f (x - start) over clients is the sum of f x, and of the start times what the factors leave: the start takes
 * part as one more update.
 */
import { collecting, type Rule, sharesOf, weightedMean, weightedSum } from "./aggregation.js";
import { medianOf } from "./median.js";
import { momentumStep } from "./server-step.js";
import { type StepSettings, stepOf } from "./settings.js";
import type { Strategy, Update, Work } from "./strategy.js";

export interface NormBoundedSettings extends StepSettings {
  /** L2, over all tensors of which the start is known; auto: the round's median. */
  readonly clipNorm: "auto" | number;
}

export function normBounded({ clipNorm, ...settings }: NormBoundedSettings): Strategy {
  return {
    name: "norm-bounded",
    begin: (round, work) =>
      collecting(round, (updates) => momentumStep(work, boundedMean(updates, work, clipNorm), stepOf(settings))),
  };
}

function boundedMean(updates: readonly Update[], work: Work, clipNorm: "auto" | number): Rule {
  const norms = Float64Array.from(updates, ({ squaredDistance }) => Math.sqrt(squaredDistance));
  const most = clipNorm === "auto" ? medianOf(norms.slice()) : clipNorm;
  const shares = sharesOf(updates);
  const weights = shares.map(
    (share, at) => share * Math.min(1, most / Math.max(norms[at] as number, Number.MIN_VALUE)),
  );
  const shortened = weights.some((weight, at) => weight < (shares[at] as number));
  const mean = weightedMean(updates, work);
  if (!shortened) return mean;
  const rest = 1 - weights.reduce((sum, weight) => sum + weight, 0);
  const start: Update = { client: "", examples: 0, squaredDistance: 0, values: work.start };
  const bounded = weightedSum([...updates, start], Float64Array.of(...weights, rest), work);
  // A tensor without a known start has no length that could be bounded.
  return (chunk) => (work.start.shapes.has(chunk.name) ? bounded(chunk) : mean(chunk));
}
