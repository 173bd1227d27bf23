/**
 * The coordinate-wise median (Yin et al. 2018, arXiv 1803.01498): fewer than half of the clients cannot move a coordinate beyond
 * the others' values. Updates are not weighted: a client's number of examples is the client's own claim.
 */
import { collecting, coordinateWise } from "./aggregation.js";
import { momentumStep } from "./server-step.js";
import { type StepSettings, stepOf } from "./settings.js";
import type { Strategy } from "./strategy.js";

export function median(settings: StepSettings): Strategy {
  return {
    name: "median",
    begin: (round, work) =>
      collecting(round, (updates) => momentumStep(work, coordinateWise(updates, work, medianOf), stepOf(settings))),
  };
}

/** The middle value, or the mean of the two middle ones. Sorts the values. */
export function medianOf(values: Float64Array): number {
  values.sort();
  const above = values.length >> 1;
  return values.length % 2 === 1
    ? (values[above] as number)
    : ((values[above - 1] as number) + (values[above] as number)) / 2;
}
