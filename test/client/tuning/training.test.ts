/** Checkpoints, packing and parts of a step change neither its loss nor its gradient. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import fc from "fast-check";
import type { EncodedRow } from "../../../client/data/types.js";
import { moduleNames } from "../../../client/models/architecture.js";
import { type BaseModel, openBaseModel } from "../../../client/models/base.js";
import { type AdapterValues, initialAdapter } from "../../../client/tuning/adapter.js";
import { type Feeds, pack, trainingFeeds } from "../../../client/tuning/batches.js";
import { CompiledGraphs, Meter } from "../../../client/tuning/compiled-graphs.js";
import { trainingGraph } from "../../../client/tuning/graphs.js";
import { type LoraLayout, loraLayout } from "../../../client/tuning/lora.js";
import { trainAdapter } from "../../../client/tuning/training.js";
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
function adapted({ architecture }: BaseModel): { layout: LoraLayout; values: AdapterValues } {
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
  test(`${name}: layers that are recomputed in the backward pass give the same loss and gradient`, async () => {
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

for (const name of FAMILIES) {
  test(`${name}: rows that share a sequence have the loss and gradient of rows in sequences of their own`, async () => {
    const model = await open(name);
    const { layout, values } = adapted(model);
    const rows = mixedRows(model, [5, 14, 6, 3, 9, 4]);
    const alone = rows.map((_, sequence) => ({ sequence, position: 0 }));
    const [shared, apart] = [undefined, alone].map((starts) =>
      trainingFeeds(rows, model.architecture, undefined, starts),
    ) as [Feeds, Feeds];
    assert.deepEqual(
      [shared.tokens!.shape, apart.tokens!.shape],
      [
        [3, 13],
        [6, 13],
      ],
    );
    const graph = trainingGraph(model, layout);
    const [packed, padded] = [
      await lossAndGradient(graph, shared, values),
      await lossAndGradient(graph, apart, values),
    ];
    assert.ok(difference(packed.loss, padded.loss) < 1e-6);
    assert.ok(difference(packed.grad, padded.grad) < 1e-5);
  });
}

test("texts are packed without overlap, and no sequence is longer than the longest text", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 30 }), (lengths) => {
      const most = Math.max(...lengths);
      const taken = new Set<string>();
      pack(lengths).forEach(({ sequence, position }, i) => {
        assert.ok(position + lengths[i]! <= most);
        for (let t = 0; t < lengths[i]!; t++) taken.add(`${sequence} ${position + t}`);
      });
      assert.equal(
        taken.size,
        lengths.reduce((sum, length) => sum + length, 0),
      );
    }),
  );
});

test("a step in any number of parts trains like the whole batch, dropout included", async () => {
  const model = await open("llama/tied");
  const { layout: plain, values } = adapted(model);
  const layout = { ...plain, spec: { ...plain.spec, dropout: 0.3 } };
  const rows = mixedRows(model, [5, 14, 6, 3, 9, 4]);
  const compiledGraphs = new CompiledGraphs(runtime, model);
  const plan = {
    learningRate: 1e-2,
    warmupSteps: 0,
    totalSteps: 4,
    weightDecay: 0,
    clipNorm: 1,
    seed: 3,
    firstStep: 0,
    steps: 2,
  };
  const train = async (more: object) =>
    (await trainAdapter(compiledGraphs, { layout, values }, () => rows, { ...plan, ...more }, { meter: new Meter() }))
      .losses;
  const whole = await train({});
  for (const more of [{ accumulate: 3 }, { accumulate: 6, checkpoint: true }]) {
    const parted = await train(more);
    assert.ok(difference(Float32Array.from(parted), Float32Array.from(whole)) < 1e-5);
  }
  assert.notDeepEqual(await train({ seed: 4 }), whole);
  await compiledGraphs.close();
});
