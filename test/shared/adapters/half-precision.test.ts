/** Half precision and bfloat16 against their definitions, over every bit pattern. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  bf16FromFloats,
  f16FromFloats,
  floatsFromBF16,
  floatsFromF16,
} from "../../../shared/adapters/half-precision.js";

const every = Uint16Array.from({ length: 65536 }, (_, i) => i);

/** The value of a format with one sign bit, by its definition; -0 and NaN payloads aside. */
function definedValue(bits: number, exponentBits: number, fractionBits: number): number {
  const sign = bits >> 15 ? -1 : 1;
  const exponent = (bits >> fractionBits) & ((1 << exponentBits) - 1);
  const fraction = bits & ((1 << fractionBits) - 1);
  const bias = (1 << (exponentBits - 1)) - 1;
  if (exponent === (1 << exponentBits) - 1) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  const lead = exponent === 0 ? 0 : 1;
  return sign * 2 ** (Math.max(exponent, 1) - bias) * (lead + fraction / (1 << fractionBits));
}

const formats = [
  { name: "F16", widen: floatsFromF16, narrow: f16FromFloats, exponentBits: 5, fractionBits: 10 },
  { name: "BF16", widen: floatsFromBF16, narrow: bf16FromFloats, exponentBits: 8, fractionBits: 7 },
] as const;

for (const { name, widen, narrow, exponentBits, fractionBits } of formats) {
  const floats = widen(every);

  test(`every ${name} widens to exactly its value`, () => {
    for (const bits of every) {
      const expected = definedValue(bits, exponentBits, fractionBits);
      if (!Object.is(floats[bits], Math.fround(expected))) assert.fail(`${bits}: ${floats[bits]}, not ${expected}`);
      if (!Number.isNaN(expected)) assert.equal(Math.fround(expected), expected);
    }
  });

  test(`every ${name} that is a number is the same after widening and narrowing`, () => {
    const back = narrow(floats);
    for (const bits of every)
      if (Number.isNaN(floats[bits])) assert.ok(Number.isNaN(widen(back.subarray(bits, bits + 1))[0]));
      else if (back[bits] !== bits) assert.fail(`${bits} came back as ${back[bits]}`);
  });

  test(`floats between two ${name} round to the nearer one, and to the even one at the midpoint`, () => {
    const infinity = ((1 << exponentBits) - 1) << fractionBits;
    const overflow = 2 ** (1 << (exponentBits - 1));
    for (let low = 0; low < infinity; low++) {
      const a = floats[low]!;
      const b = low + 1 === infinity ? overflow : floats[low + 1]!;
      const middle = (a + b) / 2;
      // Below the smallest float32 subnormal (BF16's last step) there is no float to try.
      if (Math.fround(middle) !== middle) continue;
      const bits = new Uint32Array(Float32Array.of(middle).buffer)[0]!;
      const near = new Float32Array(Uint32Array.of(bits - 1, bits, bits + 1).buffer);
      const even = low % 2 === 0 ? low : low + 1;
      const expected = [low, even, low + 1];
      const got = [...narrow(near)];
      if (got.some((half, i) => half !== expected[i])) assert.fail(`${[...near]}: ${got}, not ${expected}`);
      const negative = [...narrow(near.map((x) => -x))];
      if (negative.some((half, i) => half !== expected[i]! + 0x8000)) assert.fail(`-${[...near]}: ${negative}`);
    }
  });

  test(`floats beyond the largest ${name} become infinity`, () => {
    const [high] = widen(narrow(Float32Array.of(Number.MAX_VALUE)));
    assert.equal(high, Number.POSITIVE_INFINITY);
    const [low] = widen(narrow(Float32Array.of(-3.4028234663852886e38)));
    assert.equal(low, Number.NEGATIVE_INFINITY);
  });
}
