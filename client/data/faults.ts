/** The error for data that is not as it must be. */
import { KindredError } from "../../shared/base/errors.js";

/** @param where names the place in front of the message: a file, `file:LINE`, or a client of a population */
export function invalidData(where: string, message: string, cause?: unknown): KindredError {
  return new KindredError("invalid_data", `${where}: ${message}`, { where }, cause);
}
