/**
 * The coordinate-wise trimmed mean (Yin et al. 2018, arXiv 1803.01498): in each coordinate the share `trim` of the smallest and of
 * the largest values is dropped, rounded down to whole updates, and the rest averaged. It bears as many hostile clients as it drops
 * values on one side. Updates are not weighted: a client's number of examples is the client's own claim.
 */
import { collecting, coordinateWise } from "./aggregation.js";
import { momentumStep } from "./server-step.js";
import { type StepSettings, stepOf } from "./settings.js";
import type { Strategy } from "./strategy.js";

export function trimmedMean({ trim, ...settings }: StepSettings & { readonly trim: number }): Strategy {
  return {
    name: "trimmed-mean",
    begin: (round, work) =>
      collecting(round, (updates) => {
        const dropped = Math.floor(trim * updates.length);
        return momentumStep(
          work,
          coordinateWise(updates, work, (values) => meanWithout(values, dropped)),
          stepOf(settings),
        );
      }),
  };
}

/** The mean of all values but the `dropped` smallest and largest. Sorts the values. */
function meanWithout(values: Float64Array, dropped: number): number {
  values.sort();
  let sum = 0;
  for (let i = dropped; i < values.length - dropped; i++) sum += values[i] as number;
  return sum / (values.length - 2 * dropped);
}
