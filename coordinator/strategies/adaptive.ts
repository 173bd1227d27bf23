/** What FedAdam and FedYogi share: the mean as a gradient, and the clients' learning rate where none is given. */
import { collecting, weightedMean } from "./aggregation.js";
import { type AdaptiveOptions, adaptiveStep, MOMENTUM } from "./server-step.js";
import type { StepSettings } from "./settings.js";
import type { Strategy } from "./strategy.js";

export function adaptive(
  name: string,
  { learningRate, momentum }: StepSettings,
  second: AdaptiveOptions["second"],
): Strategy {
  return {
    name,
    begin: (round, work) =>
      collecting(round, (updates) =>
        adaptiveStep(work, weightedMean(updates, work), {
          // An adaptive server moves a coordinate by its rate per round, as a client's AdamW does per step.
          learningRate: learningRate === "auto" ? round.learningRate : learningRate,
          momentum: momentum === "auto" ? MOMENTUM.adaptive : momentum,
          second,
        }),
      ),
  };
}
