/**
 * IEEE half precision and bfloat16 to and from float32, on bit patterns. Widening is exact (subnormals, infinities and
 * NaN payloads included); narrowing rounds to nearest, ties to even, as PyTorch does. Knows nothing of files.
 */

let halfTable: Uint32Array | undefined;

/** The float32 bits of every half: 65,536 entries, built on first use. */
function halfBits(): Uint32Array {
  if (halfTable !== undefined) return halfTable;
  const table = new Uint32Array(65536);
  for (let half = 0; half < 65536; half++) {
    const sign = (half & 0x8000) << 16;
    const exponent = (half >>> 10) & 0x1f;
    const fraction = half & 0x3ff;
    let bits: number;
    if (exponent === 0x1f) bits = 0x7f800000 | (fraction << 13);
    else if (exponent !== 0) bits = ((exponent + 112) << 23) | (fraction << 13);
    else if (fraction === 0) bits = 0;
    else {
      // Subnormal: fraction * 2^-24. Shifted until its leading one is the implicit bit.
      const shift = Math.clz32(fraction) - 21;
      bits = ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13);
    }
    table[half] = (sign | bits) >>> 0;
  }
  halfTable = table;
  return table;
}

/** @param halves bit patterns of IEEE half precision. @returns as many float32, newly allocated */
export function floatsFromF16(halves: Uint16Array): Float32Array {
  const table = halfBits();
  const bits = new Uint32Array(halves.length);
  for (let i = 0; i < halves.length; i++) bits[i] = table[halves[i]!]!;
  return new Float32Array(bits.buffer);
}

/** @param halves bit patterns of bfloat16. @returns as many float32, newly allocated */
export function floatsFromBF16(halves: Uint16Array): Float32Array {
  const bits = new Uint32Array(halves.length);
  for (let i = 0; i < halves.length; i++) bits[i] = halves[i]! << 16;
  return new Float32Array(bits.buffer);
}

/** Rounds to half precision: beyond 65,519.99 becomes infinity, below 2^-25 becomes zero. @returns bit patterns */
export function f16FromFloats(floats: Float32Array): Uint16Array {
  const bits = new Uint32Array(floats.buffer, floats.byteOffset, floats.length);
  const halves = new Uint16Array(floats.length);
  for (let i = 0; i < bits.length; i++) {
    const x = bits[i]!;
    const sign = (x >>> 16) & 0x8000;
    const magnitude = x & 0x7fffffff;
    let half: number;
    if (magnitude > 0x7f800000) half = 0x7e00 | ((magnitude >>> 13) & 0x3ff);
    else if (magnitude >= 0x47800000) half = 0x7c00;
    else if (magnitude >= 0x38800000) {
      // Normal: the carry of the rounding may run into the exponent, up to infinity, which is right.
      half = (magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13;
    } else if (magnitude < 0x33000000) half = 0;
    else {
      const fraction = (magnitude & 0x7fffff) | 0x800000;
      const shift = 126 - (magnitude >>> 23);
      half = fraction >>> shift;
      const rest = fraction & ((1 << shift) - 1);
      const middle = 1 << (shift - 1);
      if (rest > middle || (rest === middle && (half & 1) === 1)) half++;
    }
    halves[i] = sign | half;
  }
  return halves;
}

/** Rounds to bfloat16. @returns bit patterns */
export function bf16FromFloats(floats: Float32Array): Uint16Array {
  const bits = new Uint32Array(floats.buffer, floats.byteOffset, floats.length);
  const halves = new Uint16Array(floats.length);
  for (let i = 0; i < bits.length; i++) {
    const x = bits[i]!;
    // A NaN must not be rounded: its carry could end as infinity or wrap.
    if ((x & 0x7fffffff) > 0x7f800000) halves[i] = (x >>> 16) | 0x40;
    else halves[i] = (x + 0x7fff + ((x >>> 16) & 1)) >>> 16;
  }
  return halves;
}
