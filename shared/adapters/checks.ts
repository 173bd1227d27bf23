/** What the readers of adapters' folders check alike. */
import { KindredError } from "../base/errors.js";
import { brief } from "../base/json.js";
import type { FloatTensor } from "../base/tensors.js";

/** Null, false, 0, and empty texts, lists and objects: a feature that is not used. */
export function isOff(value: unknown): boolean {
  if (typeof value === "object" && value !== null) return Object.keys(value).length === 0;
  return !value;
}

/** @throws {KindredError} `invalid_adapter` */
export function checkFinite(name: string, { data }: FloatTensor, source: string): void {
  const at = data.findIndex((value) => !Number.isFinite(value));
  if (at >= 0) {
    const message = `${source}: tensor ${brief(name)} holds ${data[at]} at ${at}; adapters must be finite`;
    throw new KindredError("invalid_adapter", message, { file: source, tensor: name });
  }
}
