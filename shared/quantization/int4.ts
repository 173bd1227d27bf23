/**
 * Blocks of 32 four-bit codes with a scale and, in `int4-min`, a minimum: ggml's Q4_0 and Q4_1 with its arithmetic, but with adjacent
 * values in one byte, as runtimes expect. Packs and unpacks matrices in memory; layout.ts has the locations of the parts.
 */
import { f16FromFloats, floatsFromF16 } from "../adapters/half-precision.js";
import { sizeOf } from "../base/tensors.js";
import { INT4_BLOCK, int4Layout, type Part } from "./layout.js";

/** The code of the value 0 in blocks without a minimum. */
export const INT4_ZERO = 8;

const view = (bytes: Uint8Array, { offset, byteLength }: Part): Uint8Array =>
  bytes.subarray(offset, offset + byteLength);
const halves = (bytes: Uint8Array, { offset, byteLength }: Part): Uint16Array =>
  new Uint16Array(bytes.buffer, bytes.byteOffset + offset, byteLength / 2);

/**
 * Rounds a matrix to Q4_0: the value of the largest magnitude has the code 0.
 * @param values row-major [out, in], rows of whole blocks, at most `LARGEST`
 * @returns the parts of `int4Layout("int4", shape)`
 */
export function packInt4(values: Float32Array, shape: readonly number[]): Uint8Array<ArrayBuffer> {
  const layout = int4Layout("int4", shape);
  const bytes = new Uint8Array(layout.byteLength);
  const codes = view(bytes, layout.codes);
  const scales = new Float32Array(values.length / INT4_BLOCK);
  for (let block = 0; block < scales.length; block++) {
    const start = block * INT4_BLOCK;
    let largest = 0;
    for (let i = start; i < start + INT4_BLOCK; i++) {
      const value = values[i]!;
      if (Math.abs(value) > Math.abs(largest)) largest = value;
    }
    const scale = Math.fround(largest / -8);
    scales[block] = scale;
    const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
    for (let i = start; i < start + INT4_BLOCK; i++) {
      const code = Math.min(15, Math.trunc(Math.fround(Math.fround(values[i]! * inverse) + 8.5)));
      codes[i >> 1]! |= code << (4 * (i & 1));
    }
  }
  halves(bytes, layout.scales).set(f16FromFloats(scales));
  return bytes;
}

/** Blocks as ggml stores them: a scale, a minimum in Q4_1, then 16 bytes whose low bits come before all high bits. */
export function packGgmlBlocks(
  type: "Q4_0" | "Q4_1",
  blocks: Uint8Array,
  shape: readonly number[],
): Uint8Array<ArrayBuffer> {
  const layout = int4Layout(type === "Q4_0" ? "int4" : "int4-min", shape);
  const bytes = new Uint8Array(layout.byteLength);
  const codes = view(bytes, layout.codes);
  const scales = view(bytes, layout.scales);
  const minima = layout.minima && view(bytes, layout.minima);
  const header = minima === undefined ? 2 : 4;
  const stride = header + INT4_BLOCK / 2;
  for (let block = 0; block < sizeOf(shape) / INT4_BLOCK; block++) {
    const from = block * stride;
    scales.set(blocks.subarray(from, from + 2), 2 * block);
    minima?.set(blocks.subarray(from + 2, from + 4), 2 * block);
    const packed = blocks.subarray(from + header, from + stride);
    for (let i = 0; i < 8; i++) {
      const [first, second] = [packed[2 * i]!, packed[2 * i + 1]!];
      codes[block * 16 + i] = (first & 15) | ((second & 15) << 4);
      codes[block * 16 + 8 + i] = (first >> 4) | (second & 0xf0);
    }
  }
  return bytes;
}

/** The values of a packed matrix, row-major [out, in]. */
export function unpackInt4(form: "int4" | "int4-min", bytes: Uint8Array, shape: readonly number[]): Float32Array {
  const layout = int4Layout(form, shape);
  const values = new Float32Array(sizeOf(shape));
  const codes = view(bytes, layout.codes);
  const scales = floatsFromF16(halves(bytes, layout.scales));
  const minima = layout.minima && floatsFromF16(halves(bytes, layout.minima));
  for (let i = 0; i < values.length; i++) {
    const block = Math.floor(i / INT4_BLOCK);
    const code = (codes[i >> 1]! >> (4 * (i & 1))) & 15;
    values[i] = minima === undefined ? scales[block]! * (code - INT4_ZERO) : scales[block]! * code + minima[block]!;
  }
  return values;
}
