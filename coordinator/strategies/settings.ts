/** The settings that most strategies have, and what "auto" is. Bounds and help texts: shared/config/strategies.ts. */
import { MOMENTUM, type MomentumOptions } from "./server-step.js";

export interface StepSettings {
  readonly learningRate: "auto" | number;
  readonly momentum: "auto" | number;
}

/** The step of every strategy but the adaptive ones. */
export function stepOf({ learningRate, momentum }: StepSettings): MomentumOptions {
  return {
    factor: learningRate === "auto" ? 1 : learningRate,
    momentum: momentum === "auto" ? MOMENTUM.plain : momentum,
  };
}
