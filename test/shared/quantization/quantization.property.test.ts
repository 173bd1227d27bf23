/** The error of packing, for any matrix, and the matrices that it refuses. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  fitsBlocks,
  INT4_BLOCK,
  NORMAL_FLOAT_BLOCK,
  packedBytes,
  QUANTIZATIONS,
} from "../../../shared/quantization/layout.js";
import { NORMAL_FLOAT_TABLES } from "../../../shared/quantization/normal-float.js";
import { pack, unpack } from "../../../shared/quantization/pack.js";

const SHAPE = [6, 96] as const;
/** Blocks of very different magnitudes, with zeros. */
const matrices = fc
  .array(
    fc.tuple(
      fc.constantFrom(0, 1e-6, 0.02, 1, 300),
      fc.array(fc.float({ noNaN: true, min: -1, max: 1 }), { minLength: 32, maxLength: 32 }),
    ),
    {
      minLength: 18,
      maxLength: 18,
    },
  )
  .map((blocks) => Float32Array.from(blocks.flatMap(([scale, values]) => values.map((value) => scale * value))));

const largest = (values: Float32Array): number => values.reduce((most, x) => Math.max(most, Math.abs(x)), 0);

test("the error of int4 is at most half a step, or one step for a value of the opposite sign and largest magnitude", () => {
  fc.assert(
    fc.property(matrices, (values) => {
      const back = unpack("int4", pack("int4", values, SHAPE, "m"), SHAPE);
      for (let start = 0; start < values.length; start += INT4_BLOCK) {
        const block = values.subarray(start, start + INT4_BLOCK);
        const step = largest(block) / 8;
        // The scale is a half: 11 bits, and below 6e-5 steps of 6e-8, eight of which reach the largest value.
        const slack = step / 200 + 8 * 6e-8;
        const most = Math.max(...block.map((x, i) => Math.abs(x - back[start + i]!)));
        assert.ok(most <= step + slack, `off by ${most}, a step is ${step}`);
        const inner = Math.max(
          0,
          ...block.filter((x, i) => Math.abs(x) < 7 * step && Math.abs(x - back[start + i]!) > step / 2 + slack),
        );
        assert.equal(inner, 0);
      }
    }),
    { numRuns: 60 },
  );
});

test("the error of NormalFloat is at most half the widest gap of its table, plus the rounding of a block's magnitude", () => {
  for (const form of ["nf4", "nf3", "nf2"] as const) {
    const table = NORMAL_FLOAT_TABLES[form];
    const gap = Math.max(...table.subarray(1).map((value, i) => value - table[i]!));
    fc.assert(
      fc.property(matrices, (values) => {
        const back = unpack(form, pack(form, values, SHAPE, "m"), SHAPE);
        const spread = largest(values);
        for (let i = 0; i < values.length; i++) {
          const start = i - (i % NORMAL_FLOAT_BLOCK);
          const magnitude = largest(values.subarray(start, start + NORMAL_FLOAT_BLOCK));
          // Magnitudes differ from their mean by `spread` at most; the widest gap of the 8-bit map is 0.0142 of it.
          assert.ok(Math.abs(values[i]! - back[i]!) <= (gap / 2) * magnitude * 1.0001 + 0.008 * spread);
        }
      }),
      { numRuns: 40 },
    );
  }
});

test("values of a table are exact where all blocks have one magnitude", () => {
  for (const form of ["nf4", "nf3", "nf2"] as const) {
    const table = NORMAL_FLOAT_TABLES[form];
    const values = Float32Array.from({ length: 256 }, (_, i) => 0.5 * table[i % table.length]!);
    assert.deepEqual(unpack(form, pack(form, values, [4, 64], "m"), [4, 64]), values);
  }
});

test("bits per value: 4.5 of int4, about 4.1 of NF4, 3.1 of NF3, 2.1 of NF2", () => {
  const shape = [1536, 576];
  const bits = QUANTIZATIONS.map((form) => [form, Number(((8 * packedBytes(form, shape)) / (1536 * 576)).toFixed(2))]);
  assert.deepEqual(Object.fromEntries(bits), { nf4: 4.13, int4: 4.5, nf3: 3.13, nf2: 2.13 });
});

test("a matrix that is not a number of whole blocks does not fit", () => {
  assert.equal(fitsBlocks("int4", [64, 48]), false);
  assert.equal(fitsBlocks("nf4", [64, 48]), true); // blocks run on from row to row
  assert.equal(fitsBlocks("nf4", [3, 48]), false);
  assert.equal(fitsBlocks("nf2", [64]), false);
});

test("a number that is not finite, or too large, is refused by name", () => {
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, 1e6]) {
    const values = new Float32Array(64).fill(1);
    values[9] = bad;
    for (const form of QUANTIZATIONS) {
      assert.throws(() => pack(form, values, [2, 32], "m.safetensors: tensor w"), {
        code: "invalid_model",
        message: `m.safetensors: tensor w holds ${bad}, which cannot be quantised`,
      });
    }
  }
});
