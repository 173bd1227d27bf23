/** Packs and unpacks matrices in every format. */
import { KindredError } from "../base/errors.js";
import { packInt4, unpackInt4 } from "./int4.js";
import { isInt4, type PackedForm, type Quantization } from "./layout.js";
import { packNormalFloat, unpackNormalFloat } from "./normal-float.js";

/** Largest magnitude: an eighth of it is the scale of an int4 block, which must be a finite half. */
const LARGEST = 8 * 65_504;

/**
 * Packs a matrix.
 * @param values row-major [out, in], of whole blocks
 * @param what names the matrix in messages
 * @throws {KindredError} `invalid_model` where a value is not finite or too large for a scale
 */
export function pack(
  form: Quantization,
  values: Float32Array,
  shape: readonly number[],
  what: string,
): Uint8Array<ArrayBuffer> {
  const bad = values.find((value) => !(Math.abs(value) <= LARGEST));
  if (bad !== undefined) throw new KindredError("invalid_model", `${what} holds ${bad}, which cannot be quantised`);
  return form === "int4" ? packInt4(values, shape) : packNormalFloat(form, values, shape);
}

/** The values of a packed matrix, row-major [out, in]. */
export function unpack(form: PackedForm, bytes: Uint8Array, shape: readonly number[]): Float32Array {
  return isInt4(form) ? unpackInt4(form, bytes, shape) : unpackNormalFloat(form, bytes, shape);
}
