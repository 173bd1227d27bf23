/** Checks that the readers of adapters' folders share. */
import { readdir } from "node:fs/promises";
import { type Facts, KindredError } from "../base/errors.js";
import { brief, reasonOf } from "../base/json.js";
import type { FloatTensor } from "../base/tensors.js";

export function invalid(message: string, facts: Facts = {}, cause?: unknown): KindredError {
  return new KindredError("invalid_adapter", message, facts, cause);
}

/** Whether a value switches a feature off: null, false, 0, an empty text, list or object. */
export function isOff(value: unknown): boolean {
  if (typeof value === "object" && value !== null) return Object.keys(value).length === 0;
  return !value;
}

/** @throws {KindredError} `invalid_adapter` */
export function checkFinite(name: string, { data }: FloatTensor, source: string): void {
  const at = data.findIndex((value) => !Number.isFinite(value));
  if (at >= 0) {
    const message = `${source}: tensor ${brief(name)} holds ${data[at]} at ${at}; adapters must be finite`;
    throw invalid(message, { file: source, tensor: name });
  }
}

/** Names of the files in an adapter's folder. @throws {KindredError} `invalid_adapter` where there is no such folder */
export async function adapterFiles(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    throw invalid(`${folder}: is not an adapter's folder (${reasonOf(error)})`, { folder }, error);
  }
}
