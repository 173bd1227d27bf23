/** Distortions of projected vectors: the dense product by hand, theory, what averaging gains, and that a worse projection is seen. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { SeededRng } from "../../../../shared/base/random.js";
import { OnnxRuntime } from "../../../../shared/runtimes/onnx/runtime.js";
import { addSketch, tensorProjection } from "../../../../shared/sketch/projection.js";
import {
  denseProduct,
  distortionOf,
  gramOf,
  meanGram,
  theory,
} from "../../../../simulations/scenarios/gradients/projections.js";

const runtime = new OnnxRuntime({ threads: 1 });
after(() => runtime.close());

const SIZE = 3000;
const DIM = 64;
/** Normal vectors of which each holds a part of the first, so that inner products are not all near zero. */
const vectors = Array.from({ length: 12 }, (_, i) => {
  const [own, common] = [new SeededRng(i, "own"), new SeededRng(0, "common")];
  return Float32Array.from({ length: SIZE }, () => own.normal() + 0.5 * common.normal());
});
const exact = gramOf(vectors);

const structured = (seed: number): Float64Array[] => {
  const projection = tensorProjection(seed, "tensor", SIZE, DIM);
  return vectors.map((vector) => {
    const sketch = new Float64Array(DIM);
    addSketch(projection, vector, sketch);
    return sketch;
  });
};

const dense = async (seed: number): Promise<Float64Array[]> =>
  (await denseProduct(runtime, vectors, DIM, seed)).map((product) => product.map((value) => value / Math.sqrt(DIM)));

const SEEDS = 24;

/** Means over the seeds of the mean errors, as shares of theory's. Over sets of seeds they spread by about 3 %. */
function shares(projected: readonly (readonly Float64Array[])[]): { norm: number; inner: number } {
  const expected = theory(exact, DIM);
  let [norm, inner] = [0, 0];
  for (const sketches of projected) {
    const found = distortionOf(exact, gramOf(sketches));
    norm += found.norm.mean / expected.norm.mean / projected.length;
    inner += found.inner.mean / expected.inner.mean / projected.length;
  }
  return { norm, inner };
}

const near = (value: number, wanted: number, share: number): void =>
  assert.ok(Math.abs(value / wanted - 1) < share, `${value}, not ${wanted}`);

test("the dense product in pieces is that with one matrix of +-1", async () => {
  // Unit vectors read the matrix: entries of both pieces, and of both signs in equal shares.
  const places = [0, 1, 2047, 2048, 2999];
  const units = places.map((at) => Float32Array.from({ length: SIZE }, (_, k) => Number(k === at)));
  const rows = await denseProduct(runtime, units, DIM, 7);
  const entries = rows.flatMap((row) => [...row]);
  assert.ok(entries.every((entry) => Math.abs(entry) === 1));
  // 320 signs: 4.5 standard deviations.
  assert.ok(Math.abs(entries.reduce((a, b) => a + b)) < 80);
  const sum = units[0]!.map((_, k) => units.reduce((total, unit, i) => total + (i + 1) * unit[k]!, 0));
  const [product] = await denseProduct(runtime, [sum], DIM, 7);
  product!.forEach((value, k) => {
    near(value + 100, 100 + rows.reduce((total, row, i) => total + (i + 1) * row[k]!, 0), 1e-6);
  });
});

test("the structured sketch and the dense projection both have the distortion of theory; half the width is detected", async () => {
  const ways: Float64Array[][][] = [[], []];
  for (let seed = 0; seed < SEEDS; seed++) {
    ways[0]!.push(structured(seed));
    ways[1]!.push(await dense(seed));
  }
  for (const way of ways) {
    const { norm, inner } = shares(way);
    near(norm, 1, 0.15);
    near(inner, 1, 0.15);
  }
  const narrow = (sketch: Float64Array): Float64Array => sketch.slice(0, DIM / 2).map((value) => value * Math.SQRT2);
  const { norm, inner } = shares(ways[1]!.map((sketches) => sketches.map(narrow)));
  assert.ok(norm > 1.25 && inner > 1.25);
});

test("inner products averaged over four seeds have half the error, and exact ones none", async () => {
  const grams = Array.from({ length: 32 }, (_, seed) => gramOf(structured(seed)));
  const error = (over: number): number => {
    const groups = Array.from({ length: 32 / over }, (_, k) => meanGram(grams.slice(k * over, (k + 1) * over)));
    return groups.reduce((sum, gram) => sum + distortionOf(exact, gram).inner.mean / groups.length, 0);
  };
  near(error(4) / error(1), 0.5, 0.15);
  assert.equal(distortionOf(exact, exact).inner.most, 0);
  assert.equal(distortionOf(exact, exact).norm.most, 0);
});
