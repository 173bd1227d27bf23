/** Differences in half precision, with one power of two per tensor. Relative error at most 2^-11, not carried over. */
import { toHalves } from "../../../shared/transforms/coded.js";
import { codeDifferences } from "./difference.js";
import type { Transform } from "./transform.js";

export const fp16: Transform = {
  name: "fp16",
  apply: async (release) => codeDifferences(release, new Map(), (_, difference) => toHalves(difference)),
};
