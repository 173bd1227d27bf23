/** FedAdam (Reddi et al. 2021, arXiv 2003.00295): the mean of the updates as the gradient of Adam. */
import { adaptive } from "./adaptive.js";
import { BETA2 } from "./server-step.js";
import type { StepSettings } from "./settings.js";
import type { Strategy } from "./strategy.js";

export function fedadam(settings: StepSettings): Strategy {
  return adaptive("fedadam", settings, (before, square) => BETA2 * before + (1 - BETA2) * square);
}
