/** Training of all weights against PyTorch. Fixtures: test/fixtures/make_full.py. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { EncodedRow } from "../../../client/data/types.js";
import { type BaseModel, openBaseModel } from "../../../client/models/base.js";
import { type AdapterValues, emptyAdapter } from "../../../client/tuning/adapter.js";
import { trainingFeeds } from "../../../client/tuning/batches.js";
import { CompiledGraphs, Meter } from "../../../client/tuning/compiled-graphs.js";
import { fullLayout, MAX_FULL_PARAMETERS } from "../../../client/tuning/full.js";
import { trainingGraph } from "../../../client/tuning/graphs.js";
import { adapterLayout } from "../../../client/tuning/kinds.js";
import { Forward } from "../../../client/tuning/mixing.js";
import { scoreMixtures } from "../../../client/tuning/scoring.js";
import { trainAdapter } from "../../../client/tuning/training.js";
import { readIntTensor, readSafetensorsHeader, readTensor } from "../../../shared/adapters/safetensors.js";
import { FULL } from "../../../shared/adapters/settings.js";
import { asset } from "../../../shared/base/assets.js";
import { sizeOf } from "../../../shared/base/tensors.js";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";
import { allLogits } from "../../support/logits.js";
import { off } from "../../support/off.js";

const runtime = new OnnxRuntime({ threads: 1 });
after(() => runtime.close());

const open = (path: string): Promise<BaseModel> => openBaseModel(asset("test", "fixtures", ...path.split("/")));

for (const path of ["llama/tied", "families/gpt2", "families/gptj", "families/pythia"]) {
  test(`${path}: gradients of all weights, losses of 20 steps and the trained model are PyTorch's`, async () => {
    const model = await open(path);
    const layout = adapterLayout(model, FULL);
    assert.equal(layout.trainedSize, model.parameters);
    const compiledGraphs = new CompiledGraphs(runtime, model);
    const file = await readSafetensorsHeader(
      asset("test", "fixtures", "full", `${path.split("/").at(-1)}.safetensors`),
    );
    const [count, length] = file.tensors.get("tokens")!.shape as [number, number];
    const data = await readIntTensor(file, "tokens");
    const rows = Array.from({ length: count }, (_, i): EncodedRow => {
      const tokens = data.slice(i * length, (i + 1) * length);
      return { tokens, scored: Int32Array.from({ length: length - 1 }, (_, at) => at + 1) };
    });
    const start = emptyAdapter(layout);

    const program = await compiledGraphs.get("train", layout, () => trainingGraph(model, layout));
    const { tensors } = await new Meter().run(program, {
      ...trainingFeeds(rows, model.architecture),
      trained: { shape: [layout.trainedSize], data: start.trained },
    });
    const all = tensors.grad!.data as Float32Array;
    const named = [...file.tensors.keys()].filter((key) => key.startsWith("grad:"));
    assert.deepEqual(named.sort(), layout.tensors.map(({ name }) => `grad:${name}`).sort());
    for (const { name, shape, offset } of layout.tensors) {
      const wrong = off(all.subarray(offset, offset + sizeOf(shape)), await readTensor(file, `grad:${name}`));
      assert.ok(wrong <= 1e-4, `the gradient of ${name} is off by ${wrong}`);
    }

    const plan = { learningRate: 0.003, warmupSteps: 2, totalSteps: 20, firstStep: 0, steps: 20 };
    const rest = { weightDecay: 0, clipNorm: 1, seed: 1 };
    const { losses, values } = await trainAdapter(
      compiledGraphs,
      { layout, values: start },
      () => rows,
      { ...plan, ...rest },
      { meter: new Meter() },
    );
    const expected = await readTensor(file, "losses");
    assert.ok(expected.at(-1)! < 0.8 * expected[0]!, "the training changes little");
    losses.forEach((loss, step) => {
      assert.ok(Math.abs(loss - expected[step]!) <= 1e-3 * expected[step]!, `step ${step}: ${loss}`);
    });
    const logits = await allLogits(compiledGraphs, layout, values, { shape: [count, length], data }, new Meter());
    const wrong = off(logits, await readTensor(file, "logits"));
    assert.ok(wrong <= 1e-3, `the trained model's logits are off by ${wrong}`);
    await severalAtOnce(compiledGraphs, layout, [start, values], rows);
    await compiledGraphs.close();
  });
}

/** All weights of several models in one pass are those of one after another, and zeros are the base. */
async function severalAtOnce(
  compiledGraphs: CompiledGraphs,
  layout: ReturnType<typeof fullLayout>,
  [zeros, trained]: readonly [AdapterValues, AdapterValues],
  rows: readonly EncodedRow[],
): Promise<void> {
  const feeds = trainingFeeds(rows, compiledGraphs.model.architecture);
  const { weights: _, ...asked } = feeds;
  const nll = async (members: readonly AdapterValues[]): Promise<Float32Array[]> => {
    const forward = await Forward.open(compiledGraphs, layout, members, new Meter());
    const each = await forward.nll(asked);
    forward.close();
    return each;
  };
  const [first, second] = await nll([zeros, trained]);
  assert.ok(off(first!, (await nll([zeros]))[0]!) <= 1e-5);
  assert.ok(off(second!, (await nll([trained]))[0]!) <= 1e-5);
  assert.ok(off(first!, second!) > 0.1);
  const [mixed, base] = await scoreMixtures(compiledGraphs, { layout, members: [zeros, trained] }, [[1, 0], []], rows, {
    meter: new Meter(),
  });
  assert.ok(Math.abs(mixed!.nllSum - base!.nllSum) <= 1e-5 * base!.nllSum);
}

test("a model that is too large, or quantised, is refused, and the message says what to do", async () => {
  const model = await open("llama/tied");
  assert.throws(() => fullLayout({ ...model, parameters: MAX_FULL_PARAMETERS + 1 }), {
    code: "unsupported",
    message:
      /cannot train all weights: the model has 268435457 weights; at most 268435456 .*; leave full out of compare/,
  });
  assert.doesNotThrow(() => fullLayout({ ...model, parameters: MAX_FULL_PARAMETERS }));
  const packed = await openBaseModel(asset("test", "fixtures", "gguf", "tiny.gguf"));
  assert.throws(() => fullLayout(packed), {
    code: "unsupported",
    message:
      /tiny\.gguf.* is quantised \(int4.*\), .*; leave full out of compare, or choose a model that is not quantised$/,
  });
});
