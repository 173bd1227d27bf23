/**
 * NormalFloat with double quantisation: QLoRA (Dettmers et al. 2023), with bitsandbytes' arithmetic and order of bits. Packs and
 * unpacks matrices in memory; layout.ts has the locations of the parts.
 */
import { sizeOf } from "../base/tensors.js";
import { bitsOf, MAGNITUDE_GROUP, NORMAL_FLOAT_BLOCK, normalFloatLayout, type Part } from "./layout.js";

export type NormalFloat = "nf4" | "nf3" | "nf2";

/**
 * Values of the codes: quantiles of the normal distribution between 1 - p and p = 0.9677083, divided by the largest, with one more
 * quantile below zero than above. NF4 is the published table; NF3 and NF2 are computed in the same way
 * (test/fixtures/make_quantization.py).
 */
export const NORMAL_FLOAT_TABLES: Readonly<Record<NormalFloat, Float32Array>> = {
  nf4: Float32Array.of(
    -1,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1,
  ),
  nf3: Float32Array.of(
    -1,
    -0.4786292016506195,
    -0.217141792178154,
    0,
    0.16093020141124725,
    0.33791524171829224,
    0.5626170039176941,
    1,
  ),
  nf2: Float32Array.of(-1, 0, 0.33791524171829224, 1),
};

/**
 * The 256 values of the magnitudes' codes, ascending: a sign, an exponent to base ten, and a fraction whose bits grow with the
 * exponent (Dettmers 2015, arXiv:1511.04561; bitsandbytes' create_dynamic_map).
 */
export const DYNAMIC_TABLE: Float32Array = dynamicTable();

function dynamicTable(): Float32Array {
  const values = [0, 1];
  for (let exponent = 0; exponent < 7; exponent++) {
    const steps = 2 ** exponent;
    for (let step = 0; step < steps; step++) {
      const value = 10 ** (exponent - 6) * (0.1 + (0.9 * (step + 0.5)) / steps);
      values.push(value, -value);
    }
  }
  return Float32Array.from(values).sort();
}

/** The bounds between codes: the midpoints of their values. */
function boundsOf(table: Float32Array): Float32Array {
  return Float32Array.from({ length: table.length - 1 }, (_, i) => (table[i]! + table[i + 1]!) / 2);
}

/** The number of bounds below `value`: the code of the nearest entry. */
function codeOf(bounds: Float32Array, value: number): number {
  let low = 0;
  let high = bounds.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (bounds[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

const DYNAMIC_BOUNDS = boundsOf(DYNAMIC_TABLE);

/** Bins of [-1, 1], narrower than the distance of any two bounds of a NormalFloat table. */
const BINS = 64;

/** Codes of values in [-1, 1] from their bin and one comparison: bisection takes three times as long (100 M values per model). */
function binnedCodes(bounds: Float32Array): (value: number) => number {
  const first = Uint8Array.from({ length: BINS + 1 }, (_, bin) => codeOf(bounds, (2 * bin) / BINS - 1));
  return (value) => {
    const code = first[Math.floor((value + 1) * (BINS / 2))]!;
    return code < bounds.length && bounds[code]! < value ? code + 1 : code;
  };
}

const largestOf = (values: Float32Array): number => values.reduce((most, x) => Math.max(most, Math.abs(x)), 0);

const view = (bytes: Uint8Array, { offset, byteLength }: Part): Uint8Array =>
  bytes.subarray(offset, offset + byteLength);
const floats = (bytes: Uint8Array, { offset, byteLength }: Part): Float32Array =>
  new Float32Array(bytes.buffer, bytes.byteOffset + offset, byteLength / 4);

/**
 * Packs a matrix.
 * @param values row-major [out, in], of whole blocks, finite
 * @returns the parts of `normalFloatLayout`
 */
export function packNormalFloat(
  form: NormalFloat,
  values: Float32Array,
  shape: readonly number[],
): Uint8Array<ArrayBuffer> {
  const layout = normalFloatLayout(form, shape);
  const bytes = new Uint8Array(layout.byteLength);
  const blocks = values.length / NORMAL_FLOAT_BLOCK;
  const code = binnedCodes(boundsOf(NORMAL_FLOAT_TABLES[form]));
  const magnitudes = new Float32Array(blocks);
  const codes = new Uint8Array(values.length);
  for (let block = 0; block < blocks; block++) {
    const start = block * NORMAL_FLOAT_BLOCK;
    const part = values.subarray(start, start + NORMAL_FLOAT_BLOCK);
    const largest = largestOf(part);
    magnitudes[block] = largest;
    const inverse = Math.fround(1 / Math.max(largest, 1e-38));
    // The inverse may have been rounded up.
    for (let i = 0; i < part.length; i++) codes[start + i] = code(Math.max(-1, Math.min(1, part[i]! * inverse)));
  }
  packCodes(form, codes, view(bytes, layout.codes));

  const mean = Math.fround(magnitudes.reduce((sum, x) => sum + x, 0) / blocks);
  floats(bytes, layout.mean)[0] = mean;
  const ranges = floats(bytes, layout.ranges);
  const centred = magnitudes.map((x) => x - mean);
  const out = view(bytes, layout.magnitudes);
  for (let group = 0; group < ranges.length; group++) {
    const start = group * MAGNITUDE_GROUP;
    const part = centred.subarray(start, start + MAGNITUDE_GROUP);
    const range = largestOf(part);
    ranges[group] = range;
    for (let i = 0; i < part.length; i++) {
      out[start + i] = codeOf(DYNAMIC_BOUNDS, range === 0 ? 0 : Math.fround(part[i]! / range));
    }
  }
  return bytes;
}

/** The values of a packed matrix, row-major [out, in]. */
export function unpackNormalFloat(form: NormalFloat, bytes: Uint8Array, shape: readonly number[]): Float32Array {
  const layout = normalFloatLayout(form, shape);
  const values = new Float32Array(sizeOf(shape));
  const table = NORMAL_FLOAT_TABLES[form];
  const codes = unpackCodes(form, view(bytes, layout.codes), values.length);
  const magnitudes = view(bytes, layout.magnitudes);
  const ranges = floats(bytes, layout.ranges);
  const mean = floats(bytes, layout.mean)[0]!;
  for (let block = 0; block < values.length / NORMAL_FLOAT_BLOCK; block++) {
    const range = ranges[Math.floor(block / MAGNITUDE_GROUP)]!;
    const magnitude = Math.fround(Math.fround(DYNAMIC_TABLE[magnitudes[block]!]! * range) + mean);
    const start = block * NORMAL_FLOAT_BLOCK;
    for (let i = start; i < start + NORMAL_FLOAT_BLOCK; i++) values[i] = table[codes[i]!]! * magnitude;
  }
  return values;
}

function packCodes(form: NormalFloat, codes: Uint8Array, out: Uint8Array): void {
  const bits = bitsOf(form);
  if (bits === 4) {
    for (let i = 0; i < out.length; i++) out[i] = (codes[2 * i]! << 4) | codes[2 * i + 1]!;
    return;
  }
  // Four codes at a time: in NF3, two times 12 bits are three bytes.
  const quad = (at: number): number => {
    let word = 0;
    for (let i = 0; i < 4; i++) word |= codes[4 * at + i]! << (bits * i);
    return word;
  };
  if (bits === 2) {
    for (let i = 0; i < out.length; i++) out[i] = quad(i);
    return;
  }
  for (let i = 0; i < out.length / 3; i++) {
    const word = quad(2 * i) | (quad(2 * i + 1) << 12);
    for (let byte = 0; byte < 3; byte++) out[3 * i + byte] = word >> (8 * byte);
  }
}

function unpackCodes(form: NormalFloat, bytes: Uint8Array, count: number): Uint8Array {
  const bits = bitsOf(form);
  const codes = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    if (bits === 4) codes[i] = i % 2 === 0 ? bytes[i >> 1]! >> 4 : bytes[i >> 1]! & 15;
    else {
      const at = i * bits;
      const word = bytes[at >> 3]! | ((bytes[(at >> 3) + 1] ?? 0) << 8);
      codes[i] = (word >> (at & 7)) & ((1 << bits) - 1);
    }
  }
  return codes;
}
