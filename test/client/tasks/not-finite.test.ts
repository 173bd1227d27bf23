/** A model whose weights hold NaN or infinity: no number is made of it, and the error names the row. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { openModel } from "../../../client/models/open.js";
import { evaluateFile } from "../../../client/tasks/evaluate.js";
import { predict } from "../../../client/tasks/predict.js";
import { emptyAdapter } from "../../../client/tuning/adapter.js";
import { CompiledGraphs, Meter } from "../../../client/tuning/compiled-graphs.js";
import { fitEnsembleWeights } from "../../../client/tuning/ensemble-weights.js";
import { loraLayout } from "../../../client/tuning/lora.js";
import { trainAdapter } from "../../../client/tuning/training.js";
import { silentLog } from "../../../shared/base/log.js";
import { silentProgress } from "../../../shared/base/progress.js";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";
import { changedModel } from "../../support/changed-model.js";
import { jsonLines, TINY_MODEL } from "../../support/tiny.js";
import { idsOf } from "../data/tokenizers.js";

const folder = mkdtempSync(join(tmpdir(), "kindred-not-finite-"));
after(() => rmSync(folder, { recursive: true }));
const context = { log: silentLog, progress: silentProgress, signal: new AbortController().signal };

const written = (name: string, rows: readonly unknown[]): string => {
  const path = join(folder, name);
  writeFileSync(path, jsonLines(rows));
  return path;
};
const choices = written("choices.jsonl", [{ prompt: "the rain", completion: " good", choices: [" good", " bad"] }]);
const texts = written("texts.jsonl", ["the rain was good"]);
const prompts = written("prompts.jsonl", ["the rain was"]);

/** The tiny model with one number replaced. */
const brokenModel = (value: number): Promise<string> =>
  changedModel(join(folder, `model-${value}`), {
    tensors: (tensors) => {
      tensors.get("model.layers.0.mlp.up_proj.weight")!.data[0] = value;
    },
  });

for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
  test(`evaluate and predict end where a weight is ${value}, naming the row`, async () => {
    const common = {
      model: await brokenModel(value),
      quantization: "none",
      format: {},
      maxTokens: 64,
      endOfText: "auto",
      runtime: { kind: "onnx", device: "cpu", threads: 1 },
    } as const;
    const sampling = { temperature: 0, topK: 0, topP: 1 };
    const refused = { code: "task_failed", message: /^.*\.jsonl:1: the model's logits are not finite \(found / };
    for (const data of [choices, texts]) await assert.rejects(evaluateFile({ ...common, data }, context), refused);
    for (const data of [choices, prompts])
      await assert.rejects(predict({ ...common, data, maxNewTokens: 4, sampling, seed: 0 }, context), refused);
    // The control: the same rows and the whole model.
    const sound = await evaluateFile({ ...common, data: choices, model: TINY_MODEL }, context);
    assert.ok(Number.isFinite(sound.loss));
  });
}

test("training and the fit of ensemble weights end likewise, and blame no learning rate", async () => {
  const { base, tokenizer } = await openModel(await brokenModel(Number.NaN), context);
  const runtime = new OnnxRuntime({ threads: 1 });
  after(() => runtime.close());
  const compiledGraphs = new CompiledGraphs(runtime, base);
  const layout = loraLayout(base.architecture, {
    rank: 2,
    alpha: 2,
    rslora: false,
    modules: ["q_proj"],
    dropout: 0,
    freezeA: false,
  });
  const tokens = Int32Array.from(await idsOf(tokenizer, "the rain was good"));
  const rows = [{ tokens, scored: Int32Array.of(1, 2) }];
  const values = emptyAdapter(layout);
  const meter = new Meter();
  const schedule = { learningRate: 0.01, warmupSteps: 0, totalSteps: 1 };
  const plan = { ...schedule, weightDecay: 0, clipNorm: 1, seed: 1, firstStep: 0, steps: 1 };
  const refused = { code: "task_failed", message: /^the model's logits are not finite/ };
  await assert.rejects(
    trainAdapter(compiledGraphs, { layout, values }, () => rows, plan, { meter }),
    refused,
  );
  await assert.rejects(
    fitEnsembleWeights(compiledGraphs, { layout, members: [values] }, rows, { prior: [0.5], strength: 1 }, { meter }),
    refused,
  );
});
