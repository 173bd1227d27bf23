import assert from "node:assert/strict";
import { test } from "node:test";
import type { EncodedRow } from "../../../client/data/types.js";
import { openBaseModel } from "../../../client/models/base.js";
import { secondsPerFlop, trainingCost } from "../../../client/profile/training-cost.js";
import { initialAdapter } from "../../../client/tuning/adapter.js";
import { CompiledGraphs, Meter } from "../../../client/tuning/compiled-graphs.js";
import { loraLayout } from "../../../client/tuning/lora.js";
import { shuffledBatches, trainAdapter } from "../../../client/tuning/training.js";
import { asset } from "../../../shared/base/assets.js";
import { SeededRng } from "../../../shared/base/random.js";
import { openRuntime } from "../../../shared/runtimes/choose.js";
import { DEFAULT_RUNTIME } from "../../../shared/runtimes/types.js";

const base = await openBaseModel(asset("simulations", "demo", "model"), { quantization: "none" });
const layout = loraLayout(base.architecture, { rank: 16, alpha: 32, modules: [], dropout: 0, freezeA: true });
const settings = { layout, epochs: 2.5, batch: 4, seed: 3 };

/** Rows of 10 to 40 tokens, of which the last one to five are scored. */
function rowsOf(count: number): EncodedRow[] {
  const rng = new SeededRng(0, "rows");
  return Array.from({ length: count }, () => {
    const tokens = Int32Array.from({ length: 10 + rng.int(31) }, () => rng.int(base.architecture.vocabulary));
    const scored = 1 + rng.int(5);
    return { tokens, scored: Int32Array.from({ length: scored }, (_, at) => tokens.length - scored + at) };
  });
}

test("steps are those of a run, and operations within a fifth of those that training counts", async () => {
  const rows = rowsOf(18);
  const { steps, flops } = trainingCost(base, rows, settings);
  assert.equal(steps, Math.round(2.5 * 5));
  const runtime = await openRuntime(DEFAULT_RUNTIME);
  try {
    const meter = new Meter();
    const schedule = { learningRate: 1e-4, warmupSteps: 0, totalSteps: 5, firstStep: 0, steps: 5 };
    await trainAdapter(
      new CompiledGraphs(runtime, base),
      { layout, values: initialAdapter(layout, 0) },
      shuffledBatches(rows, 4, 3),
      { ...schedule, weightDecay: 0, clipNorm: 1, seed: 0 },
      { meter },
    );
    // The formula leaves out norms, activations and the optimiser, which are much of so small a model.
    const counted = (meter.flops * steps) / 5;
    assert.ok(flops > 0.8 * counted && flops < 1.02 * counted, `${flops} for ${counted}`);
  } finally {
    await runtime.close();
  }
});

test("one row alone has a cost, and operations take time", async () => {
  const rows = rowsOf(1);
  assert.equal(trainingCost(base, rows, { ...settings, epochs: 0.1 }).steps, 1);
  const signal = new AbortController().signal;
  const seconds = await secondsPerFlop(base, rows, settings, { runtime: DEFAULT_RUNTIME, signal });
  assert.ok(seconds > 0 && Number.isFinite(seconds), `${seconds}`);
});
