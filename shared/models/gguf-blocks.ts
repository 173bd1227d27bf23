/** The block formats of GGUF's tensors, and their values as float32. */
import { floatsFromBF16, floatsFromF16 } from "../adapters/half-precision.js";
import { sizeOf } from "../base/tensors.js";

/** Values and bytes of a block of each type. */
export const TYPES = {
  F32: { values: 1, bytes: 4 },
  F16: { values: 1, bytes: 2 },
  BF16: { values: 1, bytes: 2 },
  Q4_0: { values: 32, bytes: 18 },
  Q4_1: { values: 32, bytes: 20 },
  Q8_0: { values: 32, bytes: 34 },
} as const;

export type GgufType = keyof typeof TYPES;

/** Bytes of a tensor; undefined where they overflow, or rows are not whole blocks. */
export function byteLengthOf(type: GgufType, shape: readonly number[]): number | undefined {
  const { values, bytes } = TYPES[type];
  const size = sizeOf(shape);
  if (!Number.isSafeInteger(size * bytes) || (shape.at(-1) ?? 1) % values !== 0) return undefined;
  return (size / values) * bytes;
}

/** The values of a tensor's blocks. */
export function dequantize(type: GgufType, bytes: Uint8Array<ArrayBuffer>): Float32Array {
  const { values: width, bytes: stride } = TYPES[type];
  switch (type) {
    case "F32":
      return new Float32Array(bytes.buffer);
    case "F16":
      return floatsFromF16(new Uint16Array(bytes.buffer));
    case "BF16":
      return floatsFromBF16(new Uint16Array(bytes.buffer));
  }
  const count = bytes.byteLength / stride;
  const out = new Float32Array(count * width);
  const scales = halvesAt(bytes, stride, 0);
  const minima = type === "Q4_1" ? halvesAt(bytes, stride, 2) : undefined;
  for (let block = 0; block < count; block++) {
    const scale = scales[block] as number;
    const codes = block * stride + (type === "Q4_1" ? 4 : 2);
    const to = block * width;
    if (type === "Q8_0") {
      for (let i = 0; i < 32; i++) out[to + i] = scale * (((bytes[codes + i] as number) << 24) >> 24);
      continue;
    }
    const [zero, minimum] = minima === undefined ? [8, 0] : [0, minima[block] as number];
    for (let i = 0; i < 16; i++) {
      const pair = bytes[codes + i] as number;
      out[to + i] = scale * ((pair & 15) - zero) + minimum;
      out[to + i + 16] = scale * ((pair >> 4) - zero) + minimum;
    }
  }
  return out;
}

/** The half at byte `at` of every block, as float32. */
function halvesAt(bytes: Uint8Array, stride: number, at: number): Float32Array {
  const halves = new Uint16Array(bytes.byteLength / stride);
  for (let i = 0; i < halves.length; i++) {
    const from = i * stride + at;
    halves[i] = (bytes[from] as number) | ((bytes[from + 1] as number) << 8);
  }
  return floatsFromF16(halves);
}
