/**
 * How a frozen matrix is held in few bits, and where its parts lie in a file. It knows neither models nor runtimes.
 *
 * - `int4`: blocks of 32 values along a row, scale * (code - 8), as ggml's Q4_0; `int4-min`: scale * code + minimum, as its
 *   Q4_1. Codes two a byte, the earlier value in the low bits; scales and minima in half precision.
 * - `nf4`, `nf3`, `nf2`: NormalFloat with double quantisation, as QLoRA (Dettmers et al. 2023) and bitsandbytes have it.
 *   Blocks of 64 values of the matrix as one row: value = table[code] * largest magnitude of the block. These magnitudes are
 *   8-bit codes themselves, in groups of 256: magnitude = dynamic[code] * range of the group + mean of all.
 *   NF4 codes two a byte, the earlier value in the high bits; NF2 four a byte and NF3 four in 12 bits, the earlier in the low.
 */
import { sizeOf } from "../base/tensors.js";

/** What a base model's linears can be quantised to. */
export const QUANTIZATIONS = ["nf4", "int4", "nf3", "nf2"] as const;
export type Quantization = (typeof QUANTIZATIONS)[number];

/** How a weight is held where it is not float32. */
export type PackedForm = Quantization | "int4-min";

export const INT4_BLOCK = 32;
export const NORMAL_FLOAT_BLOCK = 64;
/** Magnitudes of blocks a group. */
export const MAGNITUDE_GROUP = 256;

/** Every part starts at a multiple of this: a cache line. */
const ALIGNMENT = 64;

export interface Part {
  /** From the start of the weight, bytes. */
  readonly offset: number;
  readonly byteLength: number;
}

export interface Int4Layout {
  /** [out, in / 2] bytes. */
  readonly codes: Part;
  /** [out, in / 32] halves. */
  readonly scales: Part;
  /** As the scales; of `int4-min`. */
  readonly minima?: Part;
  readonly byteLength: number;
}

export interface NormalFloatLayout {
  readonly codes: Part;
  /** [groups, 256] uint8; of the last group, those of blocks that are there. */
  readonly magnitudes: Part;
  /** [groups] float32 */
  readonly ranges: Part;
  /** [1] float32 */
  readonly mean: Part;
  readonly byteLength: number;
}

export const isInt4 = (form: PackedForm): form is "int4" | "int4-min" => form.startsWith("int4");

/** Bits a code. */
export const bitsOf = (form: PackedForm): number => (isInt4(form) ? 4 : Number(form.slice(2)));

/** Whether a matrix [out, in] consists of whole blocks. */
export function fitsBlocks(form: PackedForm, shape: readonly number[]): boolean {
  if (shape.length !== 2) return false;
  return isInt4(form) ? shape[1]! % INT4_BLOCK === 0 : sizeOf(shape) % NORMAL_FLOAT_BLOCK === 0;
}

class Placing {
  end = 0;
  part(byteLength: number): Part {
    const offset = Math.ceil(this.end / ALIGNMENT) * ALIGNMENT;
    this.end = offset + byteLength;
    return { offset, byteLength };
  }
}

/** @param shape [out, in], of whole blocks */
export function int4Layout(form: "int4" | "int4-min", shape: readonly number[]): Int4Layout {
  const placing = new Placing();
  const size = sizeOf(shape);
  const codes = placing.part(size / 2);
  const scales = placing.part((2 * size) / INT4_BLOCK);
  const minima = form === "int4-min" ? { minima: placing.part((2 * size) / INT4_BLOCK) } : {};
  return { codes, scales, ...minima, byteLength: placing.end };
}

/** @param shape [out, in], of whole blocks */
export function normalFloatLayout(form: "nf4" | "nf3" | "nf2", shape: readonly number[]): NormalFloatLayout {
  const placing = new Placing();
  const size = sizeOf(shape);
  const groups = Math.ceil(size / NORMAL_FLOAT_BLOCK / MAGNITUDE_GROUP);
  const codes = placing.part((size * bitsOf(form)) / 8);
  const magnitudes = placing.part(groups * MAGNITUDE_GROUP);
  const ranges = placing.part(4 * groups);
  const mean = placing.part(4);
  return { codes, magnitudes, ranges, mean, byteLength: placing.end };
}

/** Bytes of a packed matrix [out, in]. */
export function packedBytes(form: PackedForm, shape: readonly number[]): number {
  return isInt4(form) ? int4Layout(form, shape).byteLength : normalFloatLayout(form, shape).byteLength;
}
