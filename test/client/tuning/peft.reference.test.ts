/**
 * Training, logits and per-example gradients against PyTorch with PEFT. Fixtures: test/fixtures/make_peft.py.
 */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { EncodedRow } from "../../../client/data/types.js";
import { openBaseModel } from "../../../client/models/base.js";
import { peftAdapter } from "../../../client/tasks/inputs.js";
import {
  type AdapterLayout,
  type AdapterValues,
  adapterFromTensors,
  adapterTensors,
  emptyAdapter,
  initialAdapter,
} from "../../../client/tuning/adapter.js";
import { type Comparison, marginFeeds, trainingFeeds } from "../../../client/tuning/batches.js";
import { CompiledGraphs, Meter } from "../../../client/tuning/compiled-graphs.js";
import { perExampleGraph, trainingGraph } from "../../../client/tuning/graphs.js";
import { type LoraLayout, loraLayout } from "../../../client/tuning/lora.js";
import { sketchRows } from "../../../client/tuning/sketching.js";
import { trainAdapter } from "../../../client/tuning/training.js";
import { readIntTensor, readSafetensorsHeader, readTensor, readTensors } from "../../../shared/adapters/safetensors.js";
import { asset } from "../../../shared/base/assets.js";
import { type FloatTensor, sizeOf } from "../../../shared/base/tensors.js";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";
import { addSketch, tensorProjection } from "../../../shared/sketch/projection.js";
import { choicesOf } from "../../support/choices.js";
import { allLogits } from "../../support/logits.js";

const peft = (...parts: string[]): string => asset("test", "fixtures", "peft", ...parts);
const MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

const runtime = new OnnxRuntime();
let compiledGraphs: CompiledGraphs;
before(async () => {
  compiledGraphs = new CompiledGraphs(runtime, await openBaseModel(asset("test", "fixtures", "llama", "tied")));
});
after(() => runtime.close());

function layoutFor(freezeA: boolean, modules: readonly string[] = MODULES, rslora = false): LoraLayout {
  return loraLayout(compiledGraphs.model.architecture, { rank: 4, alpha: 8, modules, dropout: 0, freezeA, rslora });
}

/** PEFT's tensors without the prefix that PEFT adds to the model's names. */
async function peftTensors(path: string): Promise<Map<string, FloatTensor>> {
  const tensors = await readTensors(await readSafetensorsHeader(path));
  return new Map([...tensors].map(([name, tensor]) => [name.replace("base_model.model.", ""), tensor]));
}

async function valuesOf(layout: AdapterLayout, path: string): Promise<AdapterValues> {
  return adapterFromTensors(layout, await peftTensors(path), path);
}

interface JsonRow {
  tokens: number[];
  scored: number[];
  choices?: { promptLength: number; tokens: number[][]; answer: number };
}

function encoded({ tokens, scored, choices }: JsonRow): EncodedRow {
  return {
    tokens: Int32Array.from(tokens),
    scored: Int32Array.from(scored),
    ...(choices ? { choices: choicesOf(choices.promptLength, choices.tokens, choices.answer) } : {}),
  };
}

function relative(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  assert.equal(actual.length, expected.length);
  let error = 0;
  let size = 0;
  for (let i = 0; i < expected.length; i++) {
    error += (actual[i]! - expected[i]!) ** 2;
    size += expected[i]! ** 2;
  }
  return Math.sqrt(error / (size + 1e-30));
}

for (const [name, modules] of [
  ["all", MODULES],
  ["qv", ["q_proj", "v_proj"]],
] as const) {
  test(`an adapter on ${name === "all" ? "all linears" : "queries and values"} gives PEFT's logits`, async () => {
    const layout = layoutFor(false, modules);
    const values = await valuesOf(layout, peft("adapters", name, "adapter_model.safetensors"));
    const file = await readSafetensorsHeader(peft("adapters", name, "expected.safetensors"));
    const shape = file.tensors.get("tokens")!.shape as [number, number];
    const tokens = { shape, data: await readIntTensor(file, "tokens") };
    const expected = await readTensor(file, "logits");
    const logits = await allLogits(compiledGraphs, layout, values, tokens, new Meter());
    assert.ok(relative(logits, expected) < 1e-5, `off by ${relative(logits, expected)}`);
    const base = await allLogits(compiledGraphs, layout, undefined, tokens, new Meter());
    assert.ok(relative(base, expected) > 1e-2, "the adapter changes nothing");
  });
}

test("a rank-stabilised adapter gives PEFT's logits and gradient, read from its folder as commands read it", async () => {
  const folder = peft("adapters", "rslora");
  const { architecture } = compiledGraphs.model;
  const { layout, values } = await peftAdapter(architecture, folder);
  assert.equal(layout.spec.rslora, true);
  const file = await readSafetensorsHeader(join(folder, "expected.safetensors"));
  const [rows, length] = file.tensors.get("tokens")!.shape as [number, number];
  const tokens = await readIntTensor(file, "tokens");
  const logits = await allLogits(compiledGraphs, layout, values, { shape: [rows, length], data: tokens }, new Meter());
  const expected = await readTensor(file, "logits");
  assert.ok(relative(logits, expected) < 1e-5, `logits are off by ${relative(logits, expected)}`);
  const plain = loraLayout(architecture, { ...layout.spec, rslora: false });
  const wrong = await allLogits(compiledGraphs, plain, values, { shape: [rows, length], data: tokens }, new Meter());
  assert.ok(relative(wrong, expected) > 1e-2, "the scale makes no difference");

  const scored = Int32Array.from({ length: length - 1 }, (_, i) => i + 1);
  const batch = Array.from({ length: rows }, (_, i) => ({
    tokens: tokens.subarray(i * length, (i + 1) * length),
    scored,
  }));
  const program = await compiledGraphs.get("train", layout, () => trainingGraph(compiledGraphs.model, layout));
  const { tensors } = await new Meter().run(program, {
    ...trainingFeeds(batch, architecture),
    trained: { shape: [layout.trainedSize], data: values.trained },
  });
  for (const { name, shape, offset } of layout.tensors) {
    const mine = (tensors.grad!.data as Float32Array).subarray(offset, offset + sizeOf(shape));
    const error = relative(mine, await readTensor(file, `grad:base_model.model.${name}`));
    assert.ok(error < 1e-4, `the gradient of ${name} is off by ${error}`);
  }
});

for (const run of ["both", "frozen-a", "accumulated", "strong-decay", "rslora"]) {
  test(`losses and final values of the training run "${run}" are PyTorch's`, async () => {
    const fixture = JSON.parse(await readFile(peft("training.json"), "utf8"));
    const { accumulation, steps, warmupSteps, maxNorm, weightDecay, losses } = fixture.runs[run];
    const layout = layoutFor(run === "frozen-a", MODULES, run === "rslora");
    const batches: EncodedRow[][] = fixture.batches.map((rows: JsonRow[]) => rows.map(encoded));
    const outcome = await trainAdapter(
      compiledGraphs,
      { layout, values: await valuesOf(layout, peft("init", "adapter_model.safetensors")) },
      (step) => batches.slice(step * accumulation, (step + 1) * accumulation).flat(),
      {
        learningRate: fixture.learningRate,
        warmupSteps,
        totalSteps: steps,
        weightDecay,
        accumulate: accumulation,
        clipNorm: maxNorm,
        seed: 0,
        firstStep: 0,
        steps,
      },
      { meter: new Meter() },
    );
    outcome.losses.forEach((loss, step) => {
      assert.ok(
        Math.abs(loss - losses[step]) <= 1e-3 * losses[step],
        `step ${step}: ${loss}, PyTorch has ${losses[step]}`,
      );
    });
    const trained = await valuesOf(layout, peft(`trained-${run}.safetensors`));
    assert.ok(relative(outcome.values.trained, trained.trained) < 1e-3);
  });
}

for (const point of ["zero", "random"] as const) {
  test(`margins and every example's gradients at ${point} values are autograd's`, async () => {
    const fixture = JSON.parse(await readFile(peft("gradients.json"), "utf8"));
    const rows: EncodedRow[] = fixture.rows.map(encoded);
    const layout = layoutFor(false);
    const init = await valuesOf(layout, peft("init", "adapter_model.safetensors"));
    const values =
      point === "zero" ? init : await valuesOf(layout, peft("adapters", "all", "adapter_model.safetensors"));
    const expected = await peftTensors(peft(`gradients-${point}.safetensors`));
    const entries: { row: number; term: string; h: number }[] = fixture[point];
    const feedsOf = (values: AdapterValues) => ({ trained: { shape: [layout.trainedSize], data: values.trained } });

    for (const twoTerms of [false, true]) {
      const chosen = rows.map((row, at) => ({ row, at })).filter(({ row }) => !twoTerms || row.choices !== undefined);
      const program = await compiledGraphs.get(`per-example-${point}-${twoTerms}`, layout, () =>
        perExampleGraph(compiledGraphs.model, layout, {
          compared: twoTerms ? { negatives: 1, otherClientAnswers: 0 } : undefined,
          fresh: point === "zero" && twoTerms,
        }),
      );
      const feeds = marginFeeds(
        // The fixture's format margin is the first answer token's alone, so rows are cut to it.
        chosen.map(({ row }) => (twoTerms ? { ...row, scored: row.scored.slice(0, 1) } : row)),
        compiledGraphs.model.architecture,
        twoTerms ? chosen.map(({ row }) => comparison(row)) : undefined,
      );
      const { tensors } = await new Meter().run(program, { ...feeds, ...feedsOf(values) });
      const terms = twoTerms
        ? [
            { term: "format", margin: "margin", grad: "grad" },
            { term: "choice", margin: "choice0Margin", grad: "choice0Grad" },
          ]
        : [{ term: "answer", margin: "margin", grad: "grad" }];
      for (const { term, margin, grad } of terms) {
        chosen.forEach(({ at }, i) => {
          const entry = entries.findIndex((e) => e.row === at && e.term === term);
          assert.ok(entry >= 0);
          const h = tensors[margin]!.data[i] as number;
          assert.ok(
            Math.abs(h - entries[entry]!.h) <= 1e-4 * Math.max(1, Math.abs(h)),
            `row ${at} ${term}: margin ${h}`,
          );
          for (const { name } of layout.linears) {
            const tensor = `${name}.lora_B.weight`;
            const all = expected.get(tensor)!;
            const size = all.data.length / all.shape[0]!;
            const mine = (tensors[`${grad}:${tensor}`]!.data as Float32Array).subarray(i * size, (i + 1) * size);
            const error = relative(mine, all.data.subarray(entry * size, (entry + 1) * size));
            assert.ok(error < 1e-4, `row ${at} ${term} ${tensor}: off by ${error}`);
          }
        });
      }
    }
  });
}

/** The right choice against all others together. */
const comparison = ({ choices }: EncodedRow): Comparison => {
  const { tokens, answer } = choices!;
  const others = tokens.flatMap((_, k) => (k === answer ? [] : [k]));
  const place = {
    tokens: tokens.map(([first]) => first!),
    own: tokens.length,
    otherClientAnswers: [],
    negatives: [others],
  };
  return { compared: [place], otherClientAnswers: 0, setsPerDraw: 1, negatives: 1 };
};

test("the sketch inside the graph is the projection of the per-example gradients", async () => {
  const fixture = JSON.parse(await readFile(peft("gradients.json"), "utf8"));
  const rows: EncodedRow[] = fixture.rows.slice(0, 4).map(encoded);
  const layout = layoutFor(true);
  const start = initialAdapter(layout, 3);
  const plan = { dim: 40, seed: 11, negatives: 0 };
  const sketched = await sketchRows(compiledGraphs, { layout, values: start }, rows, plan, { meter: new Meter() });
  const program = await compiledGraphs.get("per-example", layout, () => perExampleGraph(compiledGraphs.model, layout));
  const { tensors } = await new Meter().run(program, {
    ...marginFeeds(rows, compiledGraphs.model.architecture),
    frozen: { shape: [layout.frozenSize], data: start.frozen },
    trained: { shape: [layout.trainedSize], data: start.trained },
  });
  rows.forEach((_, i) => {
    const expected = new Float64Array(plan.dim);
    for (const { name, out } of layout.linears) {
      const tensor = `${name}.lora_B.weight`;
      const size = out * layout.spec.rank;
      const gradient = (tensors[`grad:${tensor}`]!.data as Float32Array).subarray(i * size, (i + 1) * size);
      addSketch(tensorProjection(plan.seed, tensor, size, plan.dim), gradient, expected);
    }
    const mine = sketched.sketch.subarray(i * plan.dim, (i + 1) * plan.dim);
    assert.ok(relative(mine, expected) < 1e-5, `row ${i}: off by ${relative(mine, expected)}`);
  });
});

test("fresh values are PEFT's: A uniform within 1 / sqrt(in) with that variance, B zero, the same from the same seed", () => {
  const layout = layoutFor(false);
  const values = initialAdapter(layout, 5);
  const tensors = adapterTensors(layout, values);
  let sum = 0;
  let count = 0;
  for (const [name, { shape, data }] of tensors) {
    if (name.includes("lora_B")) assert.ok(data.every((x) => x === 0));
    else {
      const bound = 1 / Math.sqrt(shape[1]!);
      assert.ok(data.every((x) => Math.abs(x) <= bound));
      for (const x of data) sum += (x / bound) ** 2;
      count += data.length;
    }
  }
  // U(-1, 1) has variance 1/3; over 2,048 draws and more the mean square stays within 4 standard errors (0.298 / sqrt(n)).
  assert.ok(Math.abs(sum / count - 1 / 3) < (4 * 0.298) / Math.sqrt(count), `${sum / count} over ${count}`);
  assert.deepEqual(initialAdapter(layout, 5), values);
  assert.notDeepEqual(initialAdapter(layout, 6), values);
  assert.equal(emptyAdapter(layout).trained.length, layout.trainedSize);
});
