/**
 * FedAvg (McMahan et al. 2017): the round ends at the mean of the updates, weighted by examples; with momentum as of Hsu, Qi, Brown
 * 2019 (arXiv 1909.06335).
 */
import { collecting, weightedMean } from "./aggregation.js";
import { momentumStep } from "./server-step.js";
import { type StepSettings, stepOf } from "./settings.js";
import type { Strategy } from "./strategy.js";

export function fedavg(settings: StepSettings): Strategy {
  return {
    name: "fedavg",
    begin: (round, work) =>
      collecting(round, (updates) => momentumStep(work, weightedMean(updates, work), stepOf(settings))),
  };
}
