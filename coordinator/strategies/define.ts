/** How a user makes a strategy: by one rule for each coordinate, or by the whole interface. */
import { KindredError } from "../../shared/base/errors.js";
import { collecting, coordinateWise } from "./aggregation.js";
import { momentumStep } from "./server-step.js";
import type { Strategy } from "./strategy.js";

/** A strategy by one rule for each coordinate. */
export interface CoordinateRule extends Omit<Strategy, "begin"> {
  /**
   * The next value of one coordinate, before the server's step.
   * @param values the coordinate in each update, in the clients' order; the function may sort or overwrite it
   * @param weights each update's share of all examples; they sum to 1 and must not be changed
   */
  combine(values: Float64Array, weights: Float64Array): number;
  /** Factor on the step from the start to what `combine` gives. @default 1 */
  readonly learningRate?: number;
  /** Decay of the running mean of steps, from 0 to below 1. @default 0 */
  readonly momentum?: number;
}

/**
 * Makes a strategy of one's own: give `combine` for a rule that treats each coordinate by itself, or `begin` for all else.
 *
 * ```ts
 * const midrange = defineStrategy({
 *   name: "midrange",
 *   combine: (values) => (Math.min(...values) + Math.max(...values)) / 2,
 * });
 * ```
 * @throws {KindredError} `invalid_option` for a name or a number out of bounds, or without a rule
 */
export function defineStrategy(definition: Strategy | CoordinateRule): Strategy {
  const { name } = definition;
  if (typeof name !== "string" || !/^[a-z][a-z0-9-]{0,63}$/.test(name)) {
    const message = `strategy.name: must be a letter and then letters, digits and dashes, in lower case; got ${JSON.stringify(name)}`;
    throw new KindredError("invalid_option", message);
  }
  const { combine: rule, begin } = definition as Partial<Strategy & CoordinateRule>;
  if (typeof rule !== "function" && typeof begin !== "function") {
    const message = `strategy ${name}: has neither combine nor begin; give combine for a rule per coordinate, or begin for the whole interface`;
    throw new KindredError("invalid_option", message, { name });
  }
  if (!("combine" in definition)) return definition;
  const { combine, learningRate = 1, momentum = 0, ...rest } = definition;
  if (!(learningRate > 0 && Number.isFinite(learningRate))) {
    throw new KindredError("invalid_option", `strategy ${name}: learningRate must be above 0, got ${learningRate}`);
  }
  if (!(momentum >= 0 && momentum < 1)) {
    throw new KindredError("invalid_option", `strategy ${name}: momentum must be from 0 to below 1, got ${momentum}`);
  }
  return {
    ...rest,
    begin: (round, work) =>
      collecting(round, (updates) => {
        const rule = coordinateWise(updates, work, checked(name, combine));
        return momentumStep(work, rule, { factor: learningRate, momentum });
      }),
  };
}

/** A user's rule: what it gives becomes the clients' adapter, and must be a number. */
function checked(name: string, combine: CoordinateRule["combine"]): CoordinateRule["combine"] {
  return (values, weights) => {
    const value = combine(values, weights);
    if (Number.isFinite(value)) return value;
    throw new KindredError("invalid_option", `strategy ${name}: combine must give a finite number, got ${value}`);
  };
}
