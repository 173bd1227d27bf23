/** FedProx's term: its gradient by finite differences, and whole training steps by hand. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { EncodedRow } from "../../../client/data/types.js";
import { openBaseModel } from "../../../client/models/base.js";
import { initialAdapter } from "../../../client/tuning/adapter.js";
import { trainingFeeds } from "../../../client/tuning/batches.js";
import { CompiledGraphs, Meter } from "../../../client/tuning/compiled-graphs.js";
import { proximalGraph, trainingGraph } from "../../../client/tuning/graphs.js";
import { loraLayout } from "../../../client/tuning/lora.js";
import { trainAdapter } from "../../../client/tuning/training.js";
import { asset } from "../../../shared/base/assets.js";
import { SeededRng } from "../../../shared/base/random.js";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";

const runtime = new OnnxRuntime({ threads: 1 });
after(() => runtime.close());

test("the proximal term's gradient is the slope of mu / 2 |w - start|^2", async () => {
  const rng = new SeededRng(5, "proximal");
  const draw = (): Float32Array => Float32Array.from({ length: 12 }, () => rng.normal());
  const [loss, values, start] = [draw(), draw(), draw()] as [Float32Array, Float32Array, Float32Array];
  const mu = 0.7;
  const vector = (data: Float32Array) => ({ shape: [data.length], data });
  const program = await runtime.compile(proximalGraph(12));
  const { tensors } = await program.run({
    loss: vector(loss),
    values: vector(values),
    start: vector(start),
    mu: { shape: [1], data: Float32Array.of(mu) },
  });
  await program.release();
  // A linear loss, whose gradient is `loss` everywhere.
  const objective = (w: readonly number[]): number =>
    w.reduce((sum, value, i) => sum + loss[i]! * value + (mu / 2) * (value - start[i]!) ** 2, 0);
  const w = Array.from(values);
  const h = 1e-4;
  w.forEach((value, i) => {
    const slope = (objective(w.with(i, value + h)) - objective(w.with(i, value - h))) / (2 * h);
    assert.ok(Math.abs((tensors.grad!.data[i] as number) - slope) < 1e-5, `coordinate ${i}`);
  });
});

test("training with the term takes AdamW's steps on the loss's gradient and mu (w - start), clipped together", async () => {
  const model = await openBaseModel(asset("test", "fixtures", "llama", "tied"));
  const layout = loraLayout(model.architecture, { rank: 2, alpha: 4, modules: ["q_proj"], dropout: 0, freezeA: true });
  const values = initialAdapter(layout, 3);
  const rng = new SeededRng(7, "rows");
  const rows: EncodedRow[] = [5, 9].map((length) => ({
    tokens: Int32Array.from({ length }, () => rng.int(model.architecture.vocabulary)),
    scored: Int32Array.of(length - 2, length - 1),
  }));
  const compiledGraphs = new CompiledGraphs(runtime, model);
  const plan = {
    learningRate: 0.01,
    warmupSteps: 0,
    totalSteps: 1000,
    weightDecay: 0,
    clipNorm: 0.5,
    seed: 3,
    firstStep: 0,
    steps: 4,
  };
  const trained = async (more: object): Promise<Float32Array> => {
    const hooks = { meter: new Meter() };
    return (await trainAdapter(compiledGraphs, { layout, values }, () => rows, { ...plan, ...more }, hooks)).values
      .trained;
  };
  const mu = 200;
  const program = await runtime.compile(trainingGraph(model, layout));
  const feeds = trainingFeeds(rows, model.architecture, 1 / 4);
  const frozen = { shape: [values.frozen.length], data: values.frozen };
  const w = Array.from(values.trained);
  const [m, v] = [w.map(() => 0), w.map(() => 0)];
  for (let step = 1; step <= plan.steps; step++) {
    const { tensors } = await program.run({
      ...feeds,
      frozen,
      trained: { shape: [w.length], data: Float32Array.from(w) },
    });
    const grad = w.map((value, i) => (tensors.grad!.data[i] as number) + mu * (value - values.trained[i]!));
    const norm = Math.sqrt(grad.reduce((sum, g) => sum + g * g, 0));
    const shrink = Math.min(1, plan.clipNorm / (norm + 1e-6));
    const rate = 0.5 * plan.learningRate * (1 + Math.cos((Math.PI * (step - 1)) / plan.totalSteps));
    grad.forEach((g, i) => {
      m[i] = 0.9 * m[i]! + 0.1 * shrink * g;
      v[i] = 0.999 * v[i]! + 0.001 * (shrink * g) ** 2;
      w[i]! -= (rate * (m[i]! / (1 - 0.9 ** step))) / (Math.sqrt(v[i]! / (1 - 0.999 ** step)) + 1e-8);
    });
  }
  await program.release();
  const near = await trained({ proximal: mu });
  near.forEach((value, i) => {
    assert.ok(Math.abs(value - w[i]!) < 2e-5, `coordinate ${i}: ${value}, should be ${w[i]}`);
  });
  // Controls: the term is felt, and none is no term.
  const plain = await trained({});
  const moved = (reached: Float32Array): number =>
    reached.reduce((sum, x, i) => sum + (x - values.trained[i]!) ** 2, 0);
  assert.ok(moved(near) < 0.7 * moved(plain), `${moved(near)} with the term, ${moved(plain)} without it`);
  assert.deepEqual(await trained({ proximal: 0 }), plain);
  await compiledGraphs.close();
});
