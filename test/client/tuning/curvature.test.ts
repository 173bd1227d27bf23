/** The Hessian's trace and largest eigenvalue against an exact Hessian, from central differences of the training gradient. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { EigenvalueDecomposition, Matrix } from "ml-matrix";
import type { EncodedRow } from "../../../client/data/types.js";
import { openBaseModel } from "../../../client/models/base.js";
import { type AdapterLayout, type AdapterValues, initialAdapter } from "../../../client/tuning/adapter.js";
import { scoredTokens, trainingFeeds } from "../../../client/tuning/batches.js";
import { CompiledGraphs, Meter } from "../../../client/tuning/compiled-graphs.js";
import { curvature, HessianProducts } from "../../../client/tuning/curvature.js";
import { trainingGraph } from "../../../client/tuning/graphs.js";
import { loraLayout } from "../../../client/tuning/lora.js";
import { SeededRng } from "../../../shared/base/random.js";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";
import { TINY_MODEL } from "../../support/tiny.js";

const runtime = new OnnxRuntime();
let compiledGraphs: CompiledGraphs;
let layout: AdapterLayout;
let values: AdapterValues;
const rng = new SeededRng(5, "rows");
const rows: EncodedRow[] = Array.from({ length: 6 }, (_, i) => ({
  tokens: Int32Array.from({ length: 8 + (i % 3) }, () => rng.int(60)),
  scored: Int32Array.of(5, 6, 7),
}));

before(async () => {
  compiledGraphs = new CompiledGraphs(runtime, await openBaseModel(TINY_MODEL));
  layout = loraLayout(compiledGraphs.model.architecture, {
    rank: 1,
    alpha: 4,
    modules: ["v_proj", "down_proj"],
    dropout: 0,
    freezeA: false,
  });
  // Away from B = 0, where half of the Hessian would be zero.
  const { frozen, trained } = initialAdapter(layout, 1);
  values = { frozen, trained: trained.map((x) => x + 0.3 * rng.normal()) };
});
after(() => runtime.close());

async function exactHessian(): Promise<Matrix> {
  const program = await compiledGraphs.get("exact", layout, () => trainingGraph(compiledGraphs.model, layout));
  const feeds = trainingFeeds(rows, compiledGraphs.model.architecture, 1 / scoredTokens(rows));
  const gradientAt = async (trained: Float32Array): Promise<Float32Array> => {
    const { tensors } = await new Meter().run(program, {
      ...feeds,
      trained: { shape: [trained.length], data: trained },
    });
    return tensors.grad!.data as Float32Array;
  };
  const size = layout.trainedSize;
  const hessian = Matrix.zeros(size, size);
  // Differences at 2e-2 were off by 12 %: the third derivative is large here.
  const step = 2e-3;
  for (let i = 0; i < size; i++) {
    const [up, down] = [1, -1].map((sign) => {
      const moved = values.trained.slice();
      moved[i]! += sign * step;
      return moved;
    }) as [Float32Array, Float32Array];
    const [above, below] = [await gradientAt(up), await gradientAt(down)];
    for (let j = 0; j < size; j++) hessian.set(i, j, (above[j]! - below[j]!) / (up[i]! - down[i]!));
  }
  return hessian;
}

test("products, trace and largest eigenvalue are those of the exact Hessian", async () => {
  const exact = await exactHessian();
  const size = layout.trainedSize;
  const hessian = new HessianProducts(compiledGraphs, { layout, values }, rows, { meter: new Meter() });
  const found = await curvature(hessian, size, { probes: 200, seed: 3, tolerance: 1e-4 });

  const probe = Float32Array.from({ length: size }, () => rng.normal());
  const product = await hessian.times(probe);
  const expected = exact.mmul(Matrix.columnVector(Array.from(probe))).getColumn(0);
  const error = Math.hypot(...expected.map((x, i) => x - product[i]!)) / Math.hypot(...expected);
  assert.ok(error < 0.02, `a product is off by ${error}`);

  const trace = exact.trace();
  const spread = found.trace.standardError;
  assert.ok(Math.abs(found.trace.mean - trace) < 4 * spread, `trace ${found.trace.mean} ± ${spread}, exactly ${trace}`);
  // Rademacher probes have the variance 2 (|H|_F^2 - sum of its squared diagonal).
  const diagonal = exact.diagonal().reduce((sum, x) => sum + x * x, 0);
  const known = Math.sqrt((2 * (exact.norm("frobenius") ** 2 - diagonal)) / 200);
  assert.ok(Math.abs(spread / known - 1) < 0.25, `standard error ${spread}, should be about ${known}`);

  const symmetric = Matrix.add(exact, exact.transpose()).mul(0.5);
  const largest = Math.max(...new EigenvalueDecomposition(symmetric, { assumeSymmetric: true }).realEigenvalues);
  assert.ok(Math.abs(found.largest.eigenvalue / largest - 1) < 0.02, `${found.largest.eigenvalue}, not ${largest}`);
});

test("an estimate of one probe is refused: it has no standard error", async () => {
  const hessian = new HessianProducts(compiledGraphs, { layout, values }, rows, { meter: new Meter() });
  await assert.rejects(curvature(hessian, layout.trainedSize, { probes: 1, seed: 0 }), /probes is 1/);
});
