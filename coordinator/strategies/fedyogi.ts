/** FedYogi (Reddi et al. 2021, arXiv 2003.00295): as FedAdam, with a second moment that shrinks by additions alone. */
import { adaptive } from "./adaptive.js";
import { BETA2 } from "./server-step.js";
import type { StepSettings } from "./settings.js";
import type { Strategy } from "./strategy.js";

export function fedyogi(settings: StepSettings): Strategy {
  return adaptive("fedyogi", settings, (before, square) => before - (1 - BETA2) * square * Math.sign(before - square));
}
