/**
 * Formats of quantised matrices, and the locations of their parts in a file. It knows neither models nor runtimes.
 *
 * - `int4`: blocks of 32 values along a row, scale * (code - 8), as in ggml's Q4_0; `int4-min`: scale * code + minimum, as in ggml's
 *   Q4_1. Two codes per byte, the earlier value in the low bits; scales and minima in half precision.
 * - `nf4`, `nf3`, `nf2`: NormalFloat with double quantisation, as in QLoRA (Dettmers et al. 2023) and bitsandbytes. Blocks of 64
 *   values of the flattened matrix: value = table[code] * largest magnitude of the block. The magnitudes are 8-bit codes in groups of
 *   256: magnitude = dynamic[code] * range of the group + mean of all. NF4: two codes per byte, the earlier value in the high bits.
 *   NF2: four codes per byte, NF3: four codes in 12 bits, the earlier value in the low bits.
 */
import { sizeOf } from "../base/tensors.js";

/** Formats that a base model's linears can be quantised to. */
export const QUANTIZATIONS = ["nf4", "int4", "nf3", "nf2"] as const;
export type Quantization = (typeof QUANTIZATIONS)[number];

/** Formats of weights other than float32. */
export type PackedForm = Quantization | "int4-min";

export const INT4_BLOCK = 32;
export const NORMAL_FLOAT_BLOCK = 64;
/** Blocks per group: their magnitudes share a range. */
export const MAGNITUDE_GROUP = 256;

/** Every part starts at a multiple of this number of bytes: a cache line. */
const ALIGNMENT = 64;

export interface Part {
  /** Bytes from the start of the weight. */
  readonly offset: number;
  readonly byteLength: number;
}

export interface Int4Layout {
  /** [out, in / 2] bytes. */
  readonly codes: Part;
  /** [out, in / 32] halves. */
  readonly scales: Part;
  /** [out, in / 32] halves; of `int4-min` alone. */
  readonly minima?: Part;
  readonly byteLength: number;
}

export interface NormalFloatLayout {
  readonly codes: Part;
  /** [groups, 256] uint8; unused after the last block. */
  readonly magnitudes: Part;
  /** [groups] float32 */
  readonly ranges: Part;
  /** [1] float32 */
  readonly mean: Part;
  readonly byteLength: number;
}

export const isInt4 = (form: PackedForm): form is "int4" | "int4-min" => form.startsWith("int4");

/** Bits per code. */
export const bitsOf = (form: PackedForm): number => (isInt4(form) ? 4 : Number(form.slice(2)));

/** Whether a matrix [out, in] consists of whole blocks. */
export function fitsBlocks(form: PackedForm, shape: readonly number[]): boolean {
  if (shape.length !== 2) return false;
  return isInt4(form) ? shape[1]! % INT4_BLOCK === 0 : sizeOf(shape) % NORMAL_FLOAT_BLOCK === 0;
}

/** Assigns consecutive, aligned locations to parts. */
class Placement {
  end = 0;
  part(byteLength: number): Part {
    const offset = Math.ceil(this.end / ALIGNMENT) * ALIGNMENT;
    this.end = offset + byteLength;
    return { offset, byteLength };
  }
}

/** Parts of an int4 matrix. @param shape [out, in], of whole blocks */
export function int4Layout(form: "int4" | "int4-min", shape: readonly number[]): Int4Layout {
  const placement = new Placement();
  const size = sizeOf(shape);
  const codes = placement.part(size / 2);
  const scales = placement.part((2 * size) / INT4_BLOCK);
  const minima = form === "int4-min" ? { minima: placement.part((2 * size) / INT4_BLOCK) } : {};
  return { codes, scales, ...minima, byteLength: placement.end };
}

/** Parts of a NormalFloat matrix. @param shape [out, in], of whole blocks */
export function normalFloatLayout(form: "nf4" | "nf3" | "nf2", shape: readonly number[]): NormalFloatLayout {
  const placement = new Placement();
  const size = sizeOf(shape);
  const groups = Math.ceil(size / NORMAL_FLOAT_BLOCK / MAGNITUDE_GROUP);
  const codes = placement.part((size * bitsOf(form)) / 8);
  const magnitudes = placement.part(groups * MAGNITUDE_GROUP);
  const ranges = placement.part(4 * groups);
  const mean = placement.part(4);
  return { codes, magnitudes, ranges, mean, byteLength: placement.end };
}

/** Bytes of a packed matrix [out, in]. */
export function packedBytes(form: PackedForm, shape: readonly number[]): number {
  return isInt4(form) ? int4Layout(form, shape).byteLength : normalFloatLayout(form, shape).byteLength;
}
