/** The table of transforms, and their application in the order that a task names. */
import { KindredError } from "../../../shared/base/errors.js";
import type { TransformName } from "../../../shared/transforms/names.js";
import { fp16 } from "./fp16.js";
import { int8 } from "./int8.js";
import type { TensorRelease, Transform, TransformContext } from "./transform.js";

const CHAIN: Readonly<Record<TransformName, Transform>> = { fp16, int8 };

/** Transforms that this client can do. */
export const ABILITIES = Object.keys(CHAIN) as TransformName[];

export async function transformed(release: TensorRelease, context: TransformContext): Promise<TensorRelease> {
  let result = release;
  for (const name of context.transport.transforms) {
    const transform = CHAIN[name];
    if (transform === undefined) throw new KindredError("unsupported", `this client cannot do the transform ${name}`);
    result = await transform.apply(result, context);
  }
  return result;
}
