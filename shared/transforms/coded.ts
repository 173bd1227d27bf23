/**
 * Coded tensors: integers or halves with scales, `value[i] = code[i] * scale[floor(i / block)]` in row-major order. A file of them
 * is a safetensors file in which the tensor NAME of dtype I8 or F16 has its scales as the F32 tensor NAME::scales; a tensor that
 * is not coded is F32 without scales. It knows no meaning of the values.
 */

import { f16FromFloats, floatsFromF16 } from "../adapters/half-precision.js";
import { encodeRawSafetensors, type RawTensor } from "../adapters/safetensors-raw.js";
import { type FloatTensor, sizeOf } from "../base/tensors.js";

/**
 * Values per scale of int8, of the flattened tensor. On the demo's rounds blocks of 64 err by 0.0016 of the differences' root mean
 * square, rows by 0.0015; rows of LoRA's B at rank 16 take 1.18 times the bytes (docs/decisions/releases-and-transforms.md).
 */
export const INT8_BLOCK = 64;

/** Codes of int8 are -127 .. 127: symmetric, so that the mean of a code and its opposite is zero. */
const MOST_CODE = 127;

/** float32's smallest number of full precision. */
const SMALLEST_NORMAL = 2 ** -126;

export interface CodedTensor {
  readonly shape: readonly number[];
  /** Int8Array of int8; Uint16Array: bit patterns of halves. */
  readonly codes: Int8Array | Uint16Array;
  /** One per `block` values, the last for the rest. */
  readonly scales: Float32Array;
}

/** Values per scale of a coded tensor of this dtype and size. At least 1. */
export const blockOf = (dtype: "I8" | "F16", size: number): number => (dtype === "I8" ? INT8_BLOCK : Math.max(1, size));

/** Scales of a coded tensor. */
export const scaleCount = (dtype: "I8" | "F16", size: number): number => Math.ceil(size / blockOf(dtype, size));

function largest(values: Float32Array, from: number, to: number): number {
  let most = 0;
  for (let i = from; i < to; i++) most = Math.max(most, Math.abs(values[i] as number));
  return most;
}

/** Rounds to 8 bits: off by at most half a scale, the block's largest magnitude / 254; blocks below 1.5e-36 are zeros. @param values finite */
export function toInt8({ shape, data }: FloatTensor): CodedTensor {
  const codes = new Int8Array(data.length);
  const scales = new Float32Array(scaleCount("I8", data.length));
  for (let block = 0; block < scales.length; block++) {
    const [from, to] = [block * INT8_BLOCK, Math.min(data.length, (block + 1) * INT8_BLOCK)];
    const scale = Math.fround(largest(data, from, to) / MOST_CODE);
    // A subnormal scale has few digits or none: a block below 127 * 2^-126, 1.5e-36, reads as zeros.
    if (scale < SMALLEST_NORMAL) continue;
    scales[block] = scale;
    for (let i = from; i < to; i++) {
      const code = Math.round((data[i] as number) / scale);
      codes[i] = Math.max(-MOST_CODE, Math.min(MOST_CODE, code));
    }
  }
  return { shape, codes, scales };
}

/**
 * Rounds to half precision after an exact scaling by a power of two, which brings the largest magnitude to 2^14 .. 2^15: relative
 * error at most 2^-11 for values down to 2^-28 of the largest, where differences of small learning rates would be subnormal.
 * @param values finite
 */
export function toHalves({ shape, data }: FloatTensor): CodedTensor {
  const most = largest(data, 0, data.length);
  // Within float32's normal powers of two, so that both the scale and its inverse are exact.
  const exponent = most === 0 ? 0 : Math.max(-112, Math.min(113, Math.floor(Math.log2(most)) - 14));
  const scale = 2 ** exponent;
  const codes = f16FromFloats(data.map((value) => value / scale));
  return { shape, codes, scales: Float32Array.from({ length: scaleCount("F16", data.length) }, () => scale) };
}

/** Codes as numbers, without their scales. */
export const codesAsFloats = (codes: Int8Array | Uint16Array): Float32Array =>
  codes instanceof Int8Array ? Float32Array.from(codes) : floatsFromF16(codes);

/** The values that a coded tensor stands for. */
export function fromCoded({ shape, codes, scales }: CodedTensor): FloatTensor {
  const data = codesAsFloats(codes);
  const block = blockOf(codes instanceof Int8Array ? "I8" : "F16", sizeOf(shape));
  for (let i = 0; i < data.length; i++) data[i] = (data[i] as number) * (scales[Math.floor(i / block)] as number);
  return { shape, data };
}

const SCALES = "::scales";
export const scalesName = (name: string): string => `${name}${SCALES}`;
/** Name of the tensor whose scales these are; `undefined` where it is no name of scales. */
export const scaledName = (name: string): string | undefined =>
  name.endsWith(SCALES) ? name.slice(0, -SCALES.length) : undefined;

export type OutTensor = FloatTensor | CodedTensor;
export const isCoded = (tensor: OutTensor): tensor is CodedTensor => "codes" in tensor;

/** A file of coded and plain tensors. @throws {KindredError} `shape_mismatch` where a shape does not fit its data */
export function encodeCoded(tensors: ReadonlyMap<string, OutTensor>): Uint8Array {
  const raw = new Map<string, RawTensor>();
  for (const [name, tensor] of tensors) {
    if (!isCoded(tensor)) {
      raw.set(name, { dtype: "F32", shape: tensor.shape, data: tensor.data });
      continue;
    }
    const { shape, codes, scales } = tensor;
    raw.set(name, { dtype: codes instanceof Int8Array ? "I8" : "F16", shape, data: codes });
    raw.set(scalesName(name), { dtype: "F32", shape: [scales.length], data: scales });
  }
  return encodeRawSafetensors(raw);
}
