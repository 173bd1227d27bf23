/** Bottleneck adapters in all work with adapters: fresh values, sketches, several in one pass, generation, dropout. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { EncodedRow } from "../../../client/data/types.js";
import { type BaseModel, openBaseModel } from "../../../client/models/base.js";
import {
  type AdapterLayout,
  type AdapterValues,
  adapterTensors,
  emptyAdapter,
  initialAdapter,
  isFresh,
} from "../../../client/tuning/adapter.js";
import { marginFeeds } from "../../../client/tuning/batches.js";
import { CompiledGraphs, Meter } from "../../../client/tuning/compiled-graphs.js";
import { generate } from "../../../client/tuning/generation.js";
import { perExampleGraph } from "../../../client/tuning/graphs.js";
import { adapterLayout } from "../../../client/tuning/kinds.js";
import { likeliestToken } from "../../../client/tuning/sampling.js";
import { scoreMixtures } from "../../../client/tuning/scoring.js";
import { sketchRows } from "../../../client/tuning/sketching.js";
import { trainAdapter } from "../../../client/tuning/training.js";
import type { BottleneckSettings } from "../../../shared/adapters/settings.js";
import { asset } from "../../../shared/base/assets.js";
import { SeededRng } from "../../../shared/base/random.js";
import { sizeOf } from "../../../shared/base/tensors.js";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";
import { addSketch, tensorProjection } from "../../../shared/sketch/projection.js";
import { choicesOf } from "../../support/choices.js";
import { allLogits } from "../../support/logits.js";

const runtime = new OnnxRuntime({ threads: 1 });
after(() => runtime.close());
const llama = await openBaseModel(asset("test", "fixtures", "llama", "tied"));
const pythia = await openBaseModel(asset("test", "fixtures", "families", "pythia"));

const HOULSBY: BottleneckSettings = { kind: "houlsby", reduction: 4, activation: "gelu", dropout: 0, freezeA: true };
const PFEIFFER: BottleneckSettings = { ...HOULSBY, kind: "pfeiffer", freezeA: false };

function opened(model: BaseModel, settings: BottleneckSettings) {
  return { compiledGraphs: new CompiledGraphs(runtime, model), layout: adapterLayout(model, settings) };
}

/** Values other than zero. */
function drawn(layout: AdapterLayout, seed: number): AdapterValues {
  const rng = new SeededRng(seed, "bottleneck");
  const values = emptyAdapter(layout);
  for (const part of [values.frozen, values.trained])
    for (let i = 0; i < part.length; i++) part[i] = 0.2 * rng.normal();
  return values;
}

const rows = [6, 9, 9].map((length, i): EncodedRow => {
  const rng = new SeededRng(i, "row");
  const tokens = Int32Array.from({ length }, () => rng.int(96));
  const other = Int32Array.of((tokens[length - 1]! + 1) % 96);
  const choices = choicesOf(length - 1, [tokens.slice(-1), other], 0);
  return { tokens, scored: Int32Array.of(length - 1), choices };
});

test("a fresh adapter draws its down projection by seed and name, and has no effect", async () => {
  const { compiledGraphs, layout } = opened(llama, HOULSBY);
  const values = initialAdapter(layout, 5);
  const zero = (data: Float32Array): boolean => data.every((x) => x === 0);
  for (const [name, { shape, data }] of adapterTensors(layout, values)) {
    if (!name.endsWith("adapter_down.0.weight")) assert.ok(zero(data), name);
    else assert.ok(Math.abs(Math.max(...data) - 1 / Math.sqrt(shape[1] as number)) < 0.01, name);
  }
  assert.ok(isFresh(layout, values) && !isFresh(layout, drawn(layout, 1)));
  assert.deepEqual(initialAdapter(layout, 5), values);
  assert.notDeepEqual(initialAdapter(layout, 6), values);
  const tokens = { shape: [1, 9] as const, data: rows[1]!.tokens };
  const base = await allLogits(compiledGraphs, layout, undefined, tokens, new Meter());
  assert.deepEqual(await allLogits(compiledGraphs, layout, values, tokens, new Meter()), base);
});

test("the frozen part is the whole down projection; a Pfeiffer adapter has half as many sites as a Houlsby adapter", () => {
  const { layout } = opened(llama, HOULSBY);
  const down = layout.tensors.filter(({ name }) => name.includes("adapter_down"));
  assert.deepEqual(
    layout.tensors.filter(({ part }) => part === "frozen"),
    down,
  );
  const { layers, hidden } = llama.architecture;
  assert.equal(layout.frozenSize, 2 * layers * (hidden / 4) * (hidden + 1));
  assert.equal(opened(llama, { ...PFEIFFER, freezeA: true }).layout.frozenSize, layout.frozenSize / 2);
  assert.equal(opened(llama, PFEIFFER).layout.frozenSize, 0);
});

test("a reduction rounds down, and a reduction to no dimension is refused", () => {
  const width = (reduction: number): number =>
    opened(llama, { ...HOULSBY, reduction }).layout.tensors[0]!.shape[0] as number;
  assert.deepEqual([1, 5, 32].map(width), [32, 6, 1]);
  for (const reduction of [33, 0.5, Number.NaN]) {
    assert.throws(() => width(reduction), {
      code: "invalid_config",
      message: `adapter.reduction is ${reduction}; expected a number from 1 to 32, the hidden size of this model`,
    });
  }
});

for (const [model, settings] of [
  [llama, HOULSBY],
  [pythia, PFEIFFER],
] as const) {
  const name = `${settings.kind} on ${model === llama ? "llama" : "pythia"}`;

  test(`${name}: gradients of the examples' margins are those of finite differences`, async () => {
    const { compiledGraphs, layout } = opened(model, settings);
    const values = drawn(layout, 1);
    const program = await compiledGraphs.get("per-example", layout, () => perExampleGraph(model, layout));
    const run = async (trained: Float32Array) => {
      const frozen = layout.frozenSize > 0 ? { frozen: { shape: [layout.frozenSize], data: values.frozen } } : {};
      const fed = { ...frozen, trained: { shape: [trained.length], data: trained } };
      return (await new Meter().run(program, { ...marginFeeds(rows, model.architecture), ...fed })).tensors;
    };
    const tensors = await run(values.trained);
    const second = layout.tensors.filter(({ factor }) => factor === "second");
    assert.equal(Object.keys(tensors).length, second.length + 1);
    for (const seed of [1, 2]) {
      const rng = new SeededRng(seed, "direction");
      const direction = new Float32Array(layout.trainedSize);
      const slope = rows.map(() => 0);
      for (const { name, shape, offset } of second) {
        const size = sizeOf(shape);
        for (let k = 0; k < size; k++) direction[offset + k] = rng.normal();
        const all = tensors[`grad:${name}`]!.data;
        rows.forEach((_, i) => {
          for (let k = 0; k < size; k++) slope[i]! += all[i * size + k]! * direction[offset + k]!;
        });
      }
      const step = 2e-3;
      const moved = (by: number) => values.trained.map((x, k) => x + by * direction[k]!);
      const [above, below] = [await run(moved(step)), await run(moved(-step))];
      const largest = Math.max(...slope.map(Math.abs));
      rows.forEach((_, i) => {
        const measured = (above.margin!.data[i]! - below.margin!.data[i]!) / (2 * step);
        assert.ok(Math.abs(measured - slope[i]!) < 5e-3 * largest, `row ${i}: ${slope[i]}, measured ${measured}`);
      });
    }
  });

  test(`${name}: sketches are the projections of those gradients, fresh or not`, async () => {
    const { compiledGraphs, layout } = opened(model, settings);
    const start = initialAdapter(layout, 3);
    const plan = { dim: 24, seed: 11, negatives: 0 };
    const sketched = await sketchRows(compiledGraphs, { layout, values: start }, rows, plan, { meter: new Meter() });
    const program = await compiledGraphs.get("per-example", layout, () => perExampleGraph(model, layout));
    const frozen = layout.frozenSize > 0 ? { frozen: { shape: [layout.frozenSize], data: start.frozen } } : {};
    const { tensors } = await new Meter().run(program, {
      ...marginFeeds(rows, model.architecture),
      ...frozen,
      trained: { shape: [layout.trainedSize], data: start.trained },
    });
    rows.forEach((_, i) => {
      const expected = new Float64Array(plan.dim);
      for (const { name, shape, factor } of layout.tensors) {
        if (factor === "first") continue;
        const size = sizeOf(shape);
        const gradient = (tensors[`grad:${name}`]!.data as Float32Array).subarray(i * size, (i + 1) * size);
        addSketch(tensorProjection(plan.seed, name, size, plan.dim), gradient, expected);
      }
      const largest = Math.max(...expected.map(Math.abs));
      expected.forEach((x, k) => {
        assert.ok(Math.abs(sketched.sketch[i * plan.dim + k]! - x) < 1e-5 * largest, `row ${i}, ${k}`);
      });
    });
  });

  test(`${name}: members in one pass have the scores of one pass each, which are not the base model's`, async () => {
    const { compiledGraphs, layout } = opened(model, settings);
    const members = [1, 2, 3].map((seed) => drawn(layout, seed));
    const mixtures = [[], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.3, 0.4]];
    const together = await scoreMixtures(compiledGraphs, { layout, members }, mixtures, rows, { meter: new Meter() });
    for (const [j, member] of members.entries()) {
      const [alone] = await scoreMixtures(compiledGraphs, { layout, members: [member] }, [[1]], rows, {
        meter: new Meter(),
      });
      assert.ok(Math.abs(together[j + 1]!.nllSum - alone!.nllSum) < 1e-4 * alone!.nllSum);
    }
    const zeros = [emptyAdapter(layout)];
    const [base] = await scoreMixtures(compiledGraphs, { layout, members: zeros }, [[1]], rows, { meter: new Meter() });
    assert.ok(Math.abs(together[0]!.nllSum - base!.nllSum) < 1e-5 * base!.nllSum);
    assert.ok(Math.abs(together[1]!.nllSum - base!.nllSum) > 1e-2, "the adapter changes nothing");
  });

  test(`${name}: continuations are those of running the whole text anew for every token`, async () => {
    const { compiledGraphs, layout } = opened(model, settings);
    const member = drawn(layout, 4);
    const plan = { maxNewTokens: 4, ends: new Set<number>(), temperature: 0, topK: 0, topP: 1, seed: 0 };
    const prompts = [Int32Array.of(1, 9, 4, 7), Int32Array.of(1, 5)];
    const made = await generate(compiledGraphs, { layout, members: [member], weights: [1] }, prompts, plan, {
      meter: new Meter(),
    });
    for (const [i, { tokens }] of made.entries()) {
      const text = [...prompts[i]!];
      for (const token of tokens) {
        const data = { shape: [1, text.length] as const, data: Int32Array.from(text) };
        const logits = await allLogits(compiledGraphs, layout, member, data, new Meter());
        assert.equal(token, likeliestToken(logits.subarray(-model.architecture.vocabulary)));
        text.push(token);
      }
    }
  });
}

test("dropout applies to an adapter's output, in training alone and by the seed", async () => {
  const losses = async (settings: BottleneckSettings, seed: number): Promise<readonly number[]> => {
    const { compiledGraphs, layout } = opened(llama, settings);
    const schedule = { learningRate: 0.02, warmupSteps: 0, totalSteps: 6, firstStep: 0, steps: 6 };
    const plan = { ...schedule, weightDecay: 0, clipNorm: 1, seed };
    const start = initialAdapter(layout, 3);
    return (await trainAdapter(compiledGraphs, { layout, values: start }, () => rows, plan, { meter: new Meter() }))
      .losses;
  };
  const plain = await losses(HOULSBY, 1);
  const dropped = await losses({ ...HOULSBY, dropout: 0.3 }, 1);
  assert.equal(dropped[0], plain[0], "a fresh adapter gives nothing that could be dropped");
  assert.notEqual(dropped[1], plain[1]);
  assert.deepEqual(await losses({ ...HOULSBY, dropout: 0.3 }, 1), dropped);
  assert.notDeepEqual(await losses({ ...HOULSBY, dropout: 0.3 }, 2), dropped);
  assert.ok(dropped.at(-1)! < dropped[0]!);
});
