import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { encodeSafetensors, parseSafetensors } from "../../../shared/adapters/safetensors.js";
import type { FloatTensor } from "../../../shared/base/tensors.js";
import { encodeCoded, fromCoded, INT8_BLOCK, toHalves, toInt8 } from "../../../shared/transforms/coded.js";

const tensorOf = (values: readonly number[]): FloatTensor => ({
  shape: [values.length],
  data: Float32Array.from(values),
});

/** Differences as training makes them: all of about one size, and with it also zeros, giants and dwarfs. */
const tensor = fc
  .tuple(
    fc.integer({ min: -40, max: 30 }),
    fc.array(fc.oneof(fc.double({ min: -1, max: 1, noNaN: true }), fc.constantFrom(0, 1, -1, 1e-3, 1e-7)), {
      minLength: 1,
      maxLength: 300,
    }),
  )
  .map(([power, values]) => tensorOf(values.map((value) => value * 2 ** power)));

describe("int8", () => {
  it("is off by at most half a scale, and the scale is the block's largest magnitude by 127", () => {
    fc.assert(
      fc.property(tensor, ({ shape, data }) => {
        const coded = toInt8({ shape, data });
        const { data: read } = fromCoded(coded);
        for (let i = 0; i < data.length; i++) {
          const block = Math.floor(i / INT8_BLOCK);
          const most = Math.max(...data.subarray(block * INT8_BLOCK, (block + 1) * INT8_BLOCK).map(Math.abs));
          const scale = coded.scales[block]!;
          if (Math.fround(most / 127) < 2 ** -126) {
            assert.deepEqual([scale, Math.abs(read[i]!)], [0, 0]);
            continue;
          }
          assert.ok(Math.abs(scale - most / 127) <= most * 2 ** -24, `${scale} for ${most}`);
          // The last factor is float32's rounding of scale and product.
          assert.ok(Math.abs(read[i]! - data[i]!) <= (scale / 2) * (1 + 1e-4), `${read[i]} for ${data[i]}`);
        }
      }),
    );
  });

  it("reads a block as zeros where its scale would have lost digits, and keeps the next larger one", () => {
    const [least, next] = [127 * 2 ** -126 * (1 - 1e-6), 127 * 2 ** -126];
    for (const value of [2 ** -149, 1e-40, least]) {
      assert.deepEqual([...fromCoded(toInt8(tensorOf([value, -value]))).data.map(Math.abs)], [0, 0]);
    }
    assert.deepEqual([...fromCoded(toInt8(tensorOf([next, -next]))).data], [next, -next]);
  });

  it("keeps the largest value of a block, its sign, and zeros", () => {
    const { data } = fromCoded(toInt8(tensorOf([0, 127, -127, 3, 0])));
    assert.deepEqual([...data], [0, 127, -127, 3, 0]);
    assert.deepEqual([...fromCoded(toInt8(tensorOf([0, 0]))).data], [0, 0]);
  });

  it("positive control: a block that held two scales' values would break the bound", () => {
    const values = [...Array(INT8_BLOCK).fill(1e-3), 1];
    const { data } = fromCoded(toInt8(tensorOf(values)));
    assert.ok(Math.abs(data[0]! - 1e-3) < 1e-5);
    const { data: mixed } = fromCoded(toInt8(tensorOf(values.slice(1))));
    assert.ok(Math.abs(mixed[0]! - 1e-3) > 1e-5);
  });
});

describe("fp16", () => {
  it("is off by at most 2^-11 of a value, for values down to 2^-28 of the tensor's largest", () => {
    fc.assert(
      fc.property(tensor, (given) => {
        const { data: read } = fromCoded(toHalves(given));
        const most = Math.max(...given.data.map(Math.abs));
        given.data.forEach((value, i) => {
          // The smallest normal number of float32 besides: subnormal ones have fewer digits themselves.
          const bound = Math.max(Math.abs(value), most * 2 ** -28, 2 ** -126) * 2 ** -11;
          assert.ok(Math.abs(read[i]! - value) <= bound, `${read[i]} for ${value}, largest ${most}`);
        });
      }),
    );
  });

  it("holds the smallest and the largest differences that float32 has without infinities", () => {
    for (const value of [3.4e38, -3.4e38, 1.2e-38]) {
      const { data } = fromCoded(toHalves(tensorOf([value])));
      assert.ok(Math.abs(data[0]! / value - 1) < 2 ** -11, `${data[0]} for ${value}`);
    }
  });
});

describe("a file of coded tensors", () => {
  it("has the bytes of plain safetensors where nothing is coded", () => {
    const tensors = new Map([
      ["b", tensorOf([1, 2.5])],
      ["a", { shape: [2, 1], data: Float32Array.of(-3, 4) }],
    ]);
    assert.deepEqual(Buffer.from(encodeCoded(tensors)), Buffer.from(encodeSafetensors(tensors)));
  });

  it("has scales beside the codes, and takes a byte and a sixteenth per value", () => {
    const bytes = encodeCoded(new Map([["w", toInt8(tensorOf(Array.from({ length: 6400 }, (_, i) => i)))]]));
    assert.ok(Math.abs(bytes.length - 6400 * (1 + 4 / 64)) < 250, `${bytes.length}`);
    // Plain readers refuse codes, rather than take them for values.
    assert.throws(() => parseSafetensors(bytes), /"w" is I8/);
  });
});
