/** Packed matrices against bitsandbytes' NF4 and ggml's Q4_0 and Q4_1. Fixtures: test/fixtures/make_quantization.py. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { before, describe, it } from "node:test";
import { readSafetensorsHeader, readTensor, readTensorBytes } from "../../../shared/adapters/safetensors.js";
import { asset } from "../../../shared/base/assets.js";
import { packGgmlBlocks, packInt4, unpackInt4 } from "../../../shared/quantization/int4.js";
import { int4Layout, normalFloatLayout } from "../../../shared/quantization/layout.js";
import {
  DYNAMIC_TABLE,
  NORMAL_FLOAT_TABLES,
  packNormalFloat,
  unpackNormalFloat,
} from "../../../shared/quantization/normal-float.js";

const fixture = (name: string): string => asset("test", "fixtures", "quantization", name);
const SHAPE = [68, 256] as const;
const file = await readSafetensorsHeader(fixture("matrix.safetensors"));
const matrix = await readTensor(file, "matrix");

function assertWithin(got: ArrayLike<number>, want: ArrayLike<number>, most: number): void {
  assert.equal(got.length, want.length);
  const worst = Array.from(want).reduce((worst, x, i) => Math.max(worst, Math.abs(x - got[i]!)), 0);
  assert.ok(worst <= most, `off by ${worst}`);
}

describe("NF4 with double quantisation", () => {
  const layout = normalFloatLayout("nf4", SHAPE);
  let packed: Uint8Array<ArrayBuffer>;
  before(() => {
    packed = packNormalFloat("nf4", matrix, SHAPE);
  });
  const part = ({ offset, byteLength }: { offset: number; byteLength: number }): Uint8Array =>
    packed.slice(offset, offset + byteLength);

  it("has bitsandbytes' codes, high bits first", async () => {
    assert.deepEqual(part(layout.codes), await readTensorBytes(file, "nf4.codes"));
  });

  it("has bitsandbytes' magnitudes: codes, ranges and mean", async () => {
    const magnitudes = await readTensorBytes(file, "nf4.magnitudes");
    assert.deepEqual(part(layout.magnitudes).subarray(0, magnitudes.length), magnitudes);
    assertWithin(new Float32Array(part(layout.ranges).buffer), await readTensor(file, "nf4.ranges"), 1e-6);
    assertWithin(new Float32Array(part(layout.mean).buffer), await readTensor(file, "nf4.mean"), 1e-7);
  });

  it("gives back bitsandbytes' values", async () => {
    const rows = await readTensor(file, "nf4.rows");
    assertWithin(unpackNormalFloat("nf4", packed, SHAPE).subarray(0, rows.length), rows, 2e-6);
  });
});

describe("the tables", () => {
  const tables = JSON.parse(readFileSync(fixture("tables.json"), "utf8")) as Record<string, number[]>;
  for (const form of ["nf4", "nf3", "nf2"] as const) {
    it(`of ${form} is quantiles of the normal distribution`, () => {
      assertWithin(NORMAL_FLOAT_TABLES[form], tables[form]!, 1e-7);
    });
  }

  it("of magnitudes is bitsandbytes' dynamic map", () => {
    assertWithin(DYNAMIC_TABLE, tables.dynamic!, 1e-7);
  });
});

describe("int4", () => {
  for (const [type, form] of [
    ["Q4_0", "int4"],
    ["Q4_1", "int4-min"],
  ] as const) {
    it(`gives back ggml's values of ${type} blocks`, async () => {
      const rows = await readTensor(file, `${type}.rows`);
      const packed = packGgmlBlocks(type, await readTensorBytes(file, `${type}.blocks`), SHAPE);
      assertWithin(unpackInt4(form, packed, SHAPE).subarray(0, rows.length), rows, 0);
    });
  }

  it("rounds a matrix as ggml does", async () => {
    const packed = packInt4(matrix, SHAPE);
    const blocks = await readTensorBytes(file, "Q4_0.blocks");
    const { scales } = int4Layout("int4", SHAPE);
    const given = packGgmlBlocks("Q4_0", blocks, SHAPE);
    assert.deepEqual(packed.subarray(0, scales.offset), given.subarray(0, scales.offset), "codes");
    assert.deepEqual(packed.subarray(scales.offset), given.subarray(scales.offset), "scales");
  });
});
