/** Bottleneck adapters against AdapterHub's library. Fixtures: test/fixtures/make_adapterhub.py. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { EncodedRow } from "../../../client/data/types.js";
import { openBaseModel } from "../../../client/models/base.js";
import { openAdapter } from "../../../client/tasks/inputs.js";
import { type AdapterLayout, type AdapterValues, adapterTensors } from "../../../client/tuning/adapter.js";
import { trainingFeeds } from "../../../client/tuning/batches.js";
import { CompiledGraphs, Meter } from "../../../client/tuning/compiled-graphs.js";
import { trainingGraph } from "../../../client/tuning/graphs.js";
import { trainAdapter } from "../../../client/tuning/training.js";
import { readBottleneckAdapter, writeBottleneckAdapter } from "../../../shared/adapters/adapterhub.js";
import { readIntTensor, readSafetensorsHeader, readTensor } from "../../../shared/adapters/safetensors.js";
import { asset } from "../../../shared/base/assets.js";
import { sizeOf } from "../../../shared/base/tensors.js";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";
import { allLogits } from "../../support/logits.js";
import { off } from "../../support/off.js";

const ROOT = asset("test", "fixtures", "adapterhub");
const runtime = new OnnxRuntime({ threads: 1 });
const written = await mkdtemp(join(tmpdir(), "kindred-adapterhub-"));
after(async () => {
  await runtime.close();
  await rm(written, { recursive: true, force: true });
});

for (const name of readdirSync(ROOT)) {
  test(`${name} read from AdapterHub's layout has the library's logits, gradients and losses`, async () => {
    const folder = join(ROOT, name);
    const { model_name } = JSON.parse(await readFile(join(folder, "adapter_config.json"), "utf8"));
    const model = await openBaseModel(asset("test", "fixtures", ...model_name.split("/")));
    const { layout, values } = await openAdapter(model.architecture, folder);
    const compiledGraphs = new CompiledGraphs(runtime, model);
    const file = await readSafetensorsHeader(join(folder, "expected.safetensors"));
    const shape = file.tensors.get("tokens")!.shape as [number, number];
    const data = await readIntTensor(file, "tokens");

    const logits = await allLogits(compiledGraphs, layout, values, { shape, data }, new Meter());
    assert.ok(off(logits, await readTensor(file, "logits")) <= 1e-4, "logits");

    const [count, length] = shape;
    const rows = Array.from({ length: count }, (_, i): EncodedRow => {
      const tokens = data.slice(i * length, (i + 1) * length);
      return { tokens, scored: Int32Array.from({ length: length - 1 }, (_, at) => at + 1) };
    });
    const gradients = await gradientsOf(compiledGraphs, layout, values, rows);
    const named = [...file.tensors.keys()].filter((key) => key.startsWith("grad:"));
    assert.equal(named.length, layout.tensors.length);
    for (const key of named) {
      const tensor = key.slice("grad:".length).replace(".adapters.own.", ".");
      const wrong = off(gradients.get(tensor)!, await readTensor(file, key));
      assert.ok(wrong <= 1e-4, `the gradient of ${tensor} is off by ${wrong}`);
    }

    const plan = { learningRate: 0.01, warmupSteps: 2, totalSteps: 20, firstStep: 0, steps: 20 };
    const rest = { weightDecay: 0.01, clipNorm: 1, seed: 1 };
    const { losses } = await trainAdapter(
      compiledGraphs,
      { layout, values },
      () => rows,
      { ...plan, ...rest },
      { meter: new Meter() },
    );
    const expected = await readTensor(file, "losses");
    losses.forEach((loss, step) => {
      assert.ok(Math.abs(loss - expected[step]!) <= 1e-3 * expected[step]!, `step ${step}: ${loss}`);
    });
    await compiledGraphs.close();

    const read = await readBottleneckAdapter(folder);
    const again = join(written, name);
    const tensors = adapterTensors(layout, values);
    await writeBottleneckAdapter(again, { ...read, tensors }, { name: "own", baseModel: read.baseModel });
    assert.deepEqual(await readBottleneckAdapter(again), read);
    const [mine, theirs] = await Promise.all(
      [again, folder].map(async (path) => (await readSafetensorsHeader(join(path, "adapter.safetensors"))).tensors),
    );
    assert.deepEqual([...mine!.keys()].sort(), [...theirs!.keys()].sort());
  });
}

async function gradientsOf(
  compiledGraphs: CompiledGraphs,
  layout: AdapterLayout,
  { trained }: AdapterValues,
  rows: readonly EncodedRow[],
): Promise<Map<string, Float32Array>> {
  const program = await compiledGraphs.get("train", layout, () => trainingGraph(compiledGraphs.model, layout));
  const { tensors } = await new Meter().run(program, {
    ...trainingFeeds(rows, compiledGraphs.model.architecture),
    trained: { shape: [trained.length], data: trained },
  });
  const all = tensors.grad!.data as Float32Array;
  return new Map(layout.tensors.map(({ name, shape, offset }) => [name, all.subarray(offset, offset + sizeOf(shape))]));
}
