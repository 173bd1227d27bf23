/** The error for a model that computes NaN or infinite numbers. */
import { KindredError } from "../../shared/base/errors.js";

/**
 * The error for logits that are not finite.
 * @param value the number that was found: a logit or a loss
 * @param row names the row in front of the message; unless given, the message names none
 */
export function notFinite(value: number, row?: string): KindredError {
  const where = row === undefined ? "" : `${row}: `;
  return new KindredError(
    "task_failed",
    `${where}the model's logits are not finite (found ${value}); check the weights of the model and of its adapter`,
  );
}
