/** What saves memory or tokens in a training step changes neither its loss nor its gradient. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { EncodedRow } from "../../../client/data/types.js";
import { moduleNames } from "../../../client/models/architecture.js";
import { type BaseModel, openBaseModel } from "../../../client/models/base.js";
import { type Feeds, trainingFeeds } from "../../../client/tuning/batches.js";
import { trainingGraph } from "../../../client/tuning/graphs.js";
import { type AdapterLayout, type AdapterValues, initialAdapter, loraLayout } from "../../../client/tuning/lora.js";
import { asset } from "../../../shared/base/assets.js";
import { SeededRng } from "../../../shared/base/random.js";
import type { Graph } from "../../../shared/graph/graph.js";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";
import { difference } from "../../support/contract.js";

const runtime = new OnnxRuntime({ threads: 1 });
after(() => runtime.close());

const FAMILIES = ["llama/tied", "families/gpt2", "families/gptj", "families/pythia", "families/mistral-window"];
const open = (name: string): Promise<BaseModel> => openBaseModel(asset("test", "fixtures", ...name.split("/")));

/** LoRA on all linears, away from B = 0. */
function adapted({ architecture }: BaseModel): { layout: AdapterLayout; values: AdapterValues } {
  const modules = moduleNames(architecture);
  const layout = loraLayout(architecture, { rank: 4, alpha: 8, modules, dropout: 0, freezeA: false });
  const rng = new SeededRng(11, "values");
  const { frozen, trained } = initialAdapter(layout, 3);
  return { layout, values: { frozen, trained: trained.map((x) => x + 0.05 * rng.normal()) } };
}

/** Rows of many lengths, the last tokens of each scored. */
function mixedRows({ architecture }: BaseModel, lengths: readonly number[]): EncodedRow[] {
  const rng = new SeededRng(7, "rows");
  return lengths.map((length) => ({
    tokens: Int32Array.from({ length }, () => rng.int(architecture.vocabulary)),
    scored: Int32Array.of(length - 2, length - 1),
  }));
}

async function lossAndGradient(graph: Graph, feeds: Feeds, { trained }: AdapterValues) {
  const program = await runtime.compile(graph);
  const { tensors } = await program.run({ ...feeds, trained: { shape: [trained.length], data: trained } });
  await program.release();
  return { loss: tensors.loss!.data, grad: tensors.grad!.data };
}

for (const name of FAMILIES) {
  test(`${name}: layers computed again in the backward pass give the same loss and gradient`, async () => {
    const model = await open(name);
    const { layout, values } = adapted(model);
    const feeds = trainingFeeds(mixedRows(model, [5, 9, 12]), model.architecture);
    const graphs = [false, true].map((checkpoint) => trainingGraph(model, layout, { checkpoint })) as [Graph, Graph];
    const [kept, again] = graphs.map(({ nodes }) => nodes.filter(({ op }) => op.kind === "softmax").length);
    assert.ok(again! >= kept! + model.architecture.layers, "each layer's attention is there twice");
    const [plain, late] = await Promise.all(graphs.map((graph) => lossAndGradient(graph, feeds, values)));
    assert.ok(difference(late!.loss, plain!.loss) < 1e-6);
    assert.ok(difference(late!.grad, plain!.grad) < 1e-5);
  });
}
