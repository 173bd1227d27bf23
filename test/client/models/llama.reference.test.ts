/** Logits against transformers, for each way a Llama is configured and stored. Fixtures: test/fixtures/make_llama.py. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { openBaseModel } from "../../../client/models/base.js";
import { CompiledGraphs, Meter } from "../../../client/tuning/compiled-graphs.js";
import { loraLayout } from "../../../client/tuning/lora.js";
import { readIntTensor, readSafetensorsHeader, readTensor } from "../../../shared/adapters/safetensors.js";
import { asset } from "../../../shared/base/assets.js";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";
import { allLogits } from "../../support/logits.js";

const runtime = new OnnxRuntime();
after(() => runtime.close());

const SPEC = { rank: 2, alpha: 4, modules: [], dropout: 0, freezeA: true };
const MODELS = [
  "tied",
  "untied-sharded",
  "attention-bias",
  "mlp-bias",
  "llama3-rope",
  "llama3-rope-parameters",
  "fp16",
  "bf16",
];

for (const name of MODELS) {
  test(`a ${name} model has transformers' logits`, async () => {
    const folder = asset("test", "fixtures", "llama", name);
    const model = await openBaseModel(folder);
    const layout = loraLayout(model.architecture, SPEC);
    const compiledGraphs = new CompiledGraphs(runtime, model);
    const file = await readSafetensorsHeader(`${folder}/expected.safetensors`);
    const [rows, length] = file.tensors.get("tokens")!.shape as [number, number];
    const tokens = await readIntTensor(file, "tokens");
    const expected = await readTensor(file, "logits");
    const logits = await allLogits(
      compiledGraphs,
      layout,
      undefined,
      { shape: [rows, length], data: tokens },
      new Meter(),
    );
    assert.equal(logits.length, expected.length);
    const largest = expected.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    let worst = 0;
    expected.forEach((x, i) => {
      worst = Math.max(worst, Math.abs(x - logits[i]!));
    });
    assert.ok(worst <= 1e-4 * largest, `off by ${worst} where the largest is ${largest}`);
    await compiledGraphs.close();
  });
}
