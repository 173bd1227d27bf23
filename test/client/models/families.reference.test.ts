/**
 * Every family against transformers and PEFT: logits, logits with a LoRA on all linears, gradients of its B, twenty training steps.
 * Fixtures: test/fixtures/make_families.py, make_curves.py. Llama's are in llama.reference.test.ts and tuning/peft.reference.test.ts.
 */
import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { EncodedRow } from "../../../client/data/types.js";
import { openBaseModel } from "../../../client/models/base.js";
import { adapterFromTensors } from "../../../client/tuning/adapter.js";
import { trainingFeeds } from "../../../client/tuning/batches.js";
import { CompiledGraphs, Meter } from "../../../client/tuning/compiled-graphs.js";
import { trainingGraph } from "../../../client/tuning/graphs.js";
import { loraLayout } from "../../../client/tuning/lora.js";
import { trainAdapter } from "../../../client/tuning/training.js";
import { adaptedModules, readPeftAdapter, writePeftAdapter } from "../../../shared/adapters/peft.js";
import { readIntTensor, readSafetensorsHeader, readTensor, readTensors } from "../../../shared/adapters/safetensors.js";
import { asset } from "../../../shared/base/assets.js";
import { type FloatTensor, sizeOf } from "../../../shared/base/tensors.js";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";
import { allLogits } from "../../support/logits.js";

const runtime = new OnnxRuntime();
after(() => runtime.close());

const fixtures = asset("test", "fixtures", "families");

interface Expected {
  readonly tokens: { readonly shape: readonly [number, number]; readonly data: Int32Array };
  readonly logits: Float32Array;
  readonly adapted: Float32Array;
  /** The adapter's values by PEFT's names without their prefix. */
  readonly values: ReadonlyMap<string, FloatTensor>;
  readonly gradients: ReadonlyMap<string, FloatTensor>;
}

async function expectedOf(name: string): Promise<Expected> {
  const file = await readSafetensorsHeader(join(fixtures, name, "expected.safetensors"));
  const shape = file.tensors.get("tokens")!.shape as [number, number];
  const tokens = { shape, data: await readIntTensor(file, "tokens") };
  const values = new Map<string, FloatTensor>();
  const gradients = new Map<string, FloatTensor>();
  for (const [key, { shape }] of file.tensors) {
    const [, graded, tensor] = /^(grad:)?base_model\.model\.(.+)$/.exec(key) ?? [];
    if (tensor === undefined) continue;
    (graded ? gradients : values).set(tensor, { shape, data: await readTensor(file, key) });
  }
  const [logits, adapted] = [await readTensor(file, "logits"), await readTensor(file, "adapted")];
  return { tokens, logits, adapted, values, gradients };
}

/** The largest difference over the largest value. */
function off(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  assert.equal(actual.length, expected.length);
  let [worst, largest] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    worst = Math.max(worst, Math.abs(actual[i]! - expected[i]!));
    largest = Math.max(largest, Math.abs(expected[i]!));
  }
  return worst / largest;
}

const spec = { rank: 2, alpha: 4, dropout: 0, freezeA: true };
const curves = JSON.parse(await readFile(join(fixtures, "curves.json"), "utf8"));

/** The fixture's tokens as rows, every token but the first scored. */
function rowsOf({ shape: [rows, length], data }: Expected["tokens"]): EncodedRow[] {
  const scored = Int32Array.from({ length: length - 1 }, (_, i) => i + 1);
  return Array.from({ length: rows }, (_, i) => ({ tokens: data.slice(i * length, (i + 1) * length), scored }));
}

const names = (await readdir(fixtures, { withFileTypes: true })).filter((entry) => entry.isDirectory());
for (const { name } of names.sort((a, b) => a.name.localeCompare(b.name))) {
  test(`a ${name} model has transformers' logits, and PEFT's with an adapter on all linears and its gradients`, async () => {
    const model = await openBaseModel(join(fixtures, name));
    const compiledGraphs = new CompiledGraphs(runtime, model);
    const { tokens, logits, adapted, values, gradients } = await expectedOf(name);
    const layout = loraLayout(model.architecture, { ...spec, modules: [...new Set(adaptedModules(values))] });
    assert.equal(layout.linears.length, model.architecture.linears.length, "PEFT adapts all linears but the head");
    const base = await allLogits(compiledGraphs, layout, undefined, tokens, new Meter());
    assert.ok(off(base, logits) <= 1e-4, `logits are off by ${off(base, logits)} of the largest`);

    const adapter = adapterFromTensors(layout, values, name);
    const moved = await allLogits(compiledGraphs, layout, adapter, tokens, new Meter());
    assert.ok(off(moved, adapted) <= 1e-4, `adapted logits are off by ${off(moved, adapted)} of the largest`);
    assert.ok(off(base, adapted) > 1e-2, "the adapter changes nothing");

    const program = await compiledGraphs.get("train", layout, () => trainingGraph(model, layout));
    const { tensors } = await new Meter().run(program, {
      ...trainingFeeds(rowsOf(tokens), model.architecture),
      frozen: { shape: [layout.frozenSize], data: adapter.frozen },
      trained: { shape: [layout.trainedSize], data: adapter.trained },
    });
    const trained = layout.tensors.filter(({ part }) => part === "trained");
    assert.equal(trained.length, gradients.size);
    for (const { name: tensor, shape, offset } of trained) {
      const { data } = gradients.get(tensor)!;
      const mine = (tensors.grad!.data as Float32Array).subarray(offset, offset + sizeOf(shape));
      assert.ok(off(mine, data) <= 1e-4, `the gradient of ${tensor} is off by ${off(mine, data)} of the largest`);
    }
    await compiledGraphs.close();
  });
}

for (const name of Object.keys(curves).filter((key) => key !== "settings")) {
  test(`twenty training steps of an adapter on a ${name} model have PEFT's losses`, async () => {
    const model = await openBaseModel(join(fixtures, name));
    const compiledGraphs = new CompiledGraphs(runtime, model);
    const { tokens, values } = await expectedOf(name);
    const layout = loraLayout(model.architecture, { ...spec, freezeA: false, modules: adaptedModules(values) });
    const start = adapterFromTensors(layout, values, name);
    const steps: number = curves[name].length;
    const plan = { ...curves.settings, totalSteps: steps, seed: 0, firstStep: 0, steps };
    const { losses } = await trainAdapter(compiledGraphs, { layout, values: start }, () => rowsOf(tokens), plan, {
      meter: new Meter(),
    });
    for (const [step, loss] of losses.entries()) {
      const expected: number = curves[name][step];
      assert.ok(Math.abs(loss - expected) <= 1e-3 * expected, `step ${step}: ${loss}, PEFT has ${expected}`);
    }
    await compiledGraphs.close();
  });
}

test("an adapter on GPT-2's attention is read as PEFT wrote it, and written so that PEFT finds the same linears", async () => {
  const source = join(fixtures, "gpt2", "attention");
  const model = await openBaseModel(join(fixtures, "gpt2"));
  const adapter = await readPeftAdapter(source);
  const layout = loraLayout(model.architecture, { ...spec, modules: adaptedModules(adapter.tensors) });
  assert.deepEqual(
    layout.linears.map((linear) => linear.name),
    loraLayout(model.architecture, { ...spec, modules: [] }).linears.map((linear) => linear.name),
  );
  const { tokens } = await expectedOf("gpt2");
  const compiledGraphs = new CompiledGraphs(runtime, model);
  const values = adapterFromTensors(layout, adapter.tensors, source);
  const logits = await allLogits(compiledGraphs, layout, values, tokens, new Meter());
  const { adapted } = Object.fromEntries(
    await readTensors(await readSafetensorsHeader(join(source, "expected.safetensors"))),
  );
  assert.ok(off(logits, adapted!.data) <= 1e-4, `off by ${off(logits, adapted!.data)} of the largest`);
  await compiledGraphs.close();

  const folder = await mkdtemp(join(tmpdir(), "kindred-test-"));
  try {
    const targetModules = adaptedModules(adapter.tensors);
    await writePeftAdapter(folder, { ...adapter, targetModules }, { baseModel: "gpt2" });
    const written = JSON.parse(await readFile(join(folder, "adapter_config.json"), "utf8"));
    const theirs = JSON.parse(await readFile(join(source, "adapter_config.json"), "utf8"));
    for (const field of ["target_modules", "fan_in_fan_out", "r", "lora_alpha", "peft_type", "task_type"]) {
      assert.deepEqual(written[field], theirs[field], field);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
