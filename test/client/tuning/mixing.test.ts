/** Several adapters in one pass, against one pass per adapter. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { moduleNames } from "../../../client/models/architecture.js";
import { openBaseModel } from "../../../client/models/base.js";
import { singleText } from "../../../client/models/positions.js";
import { type AdapterValues, emptyAdapter } from "../../../client/tuning/adapter.js";
import { scoredTokenFeeds, sequenceFeeds } from "../../../client/tuning/batches.js";
import { CompiledGraphs, Meter } from "../../../client/tuning/compiled-graphs.js";
import { forwardGraph } from "../../../client/tuning/graphs.js";
import { loraLayout } from "../../../client/tuning/lora.js";
import { ADAPTER_INPUTS, Forward } from "../../../client/tuning/mixing.js";
import { asset } from "../../../shared/base/assets.js";
import { SeededRng } from "../../../shared/base/random.js";
import { flops } from "../../../shared/graph/cost.js";
import { stackGraph } from "../../../shared/graph/stack.js";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";

const runtime = new OnnxRuntime({ threads: 1 });
after(() => runtime.close());

const MEMBERS = 3;

/** A model with adapters on all linears, or on some. */
async function opened(path: readonly string[], { freezeA = false, modules = undefined as string[] | undefined } = {}) {
  const model = await openBaseModel(asset("test", "fixtures", ...path));
  const spec = { rank: 4, alpha: 8, modules: modules ?? moduleNames(model.architecture), dropout: 0, freezeA };
  const layout = loraLayout(model.architecture, spec);
  const members = Array.from({ length: MEMBERS }, (_, seed): AdapterValues => {
    const rng = new SeededRng(seed, "member");
    const values = emptyAdapter(layout);
    for (const part of [values.frozen, values.trained])
      for (let i = 0; i < part.length; i++) part[i] = 0.2 * rng.normal();
    return values;
  });
  return { model, layout, members: [emptyAdapter(layout), ...members] };
}

const CASES: readonly (readonly [path: readonly string[], freezeA: boolean, modules?: string[]])[] = [
  [["llama", "tied"], false],
  [["llama", "tied"], true, ["v_proj"]],
  [["families", "gpt2"], false],
  [["families", "gptj"], true],
  [["families", "pythia"], false],
];

for (const [path, freezeA, modules] of CASES) {
  test(`one pass gives each adapter its own logits: ${path.at(-1)}, ${modules ?? "all linears"}`, async () => {
    const { model, layout, members } = await opened(path, { freezeA, ...(modules ? { modules } : {}) });
    const compiledGraphs = new CompiledGraphs(runtime, model);
    const sequences = [
      [1, 5, 9, 2, 7],
      [1, 8, 3],
    ].map((tokens) => Int32Array.from(tokens));
    const asks = [
      { sequence: 0, position: 4, target: 3 },
      { sequence: 0, position: 1, target: 6 },
      { sequence: 1, position: 2, target: 4 },
    ];
    const feeds = { ...sequenceFeeds(sequences.map(singleText), model.architecture), ...scoredTokenFeeds(asks, 5) };
    const forward = await Forward.open(compiledGraphs, layout, members, new Meter());
    const kept = await forward.logits(feeds);
    const together = await runtime.download(kept);
    const nlls = await forward.nll(feeds);
    assert.deepEqual(together.shape, [members.length, asks.length, model.architecture.vocabulary]);
    const alone = await runtime.compile(forwardGraph(model, layout));
    const size = asks.length * model.architecture.vocabulary;
    let apart = 0;
    for (const [j, { frozen, trained }] of members.entries()) {
      const own = {
        trained: { shape: [trained.length], data: trained },
        ...(freezeA ? { frozen: { shape: [frozen.length], data: frozen } } : {}),
      };
      const { logits, nll } = (await alone.run({ ...feeds, ...own })).tensors;
      logits!.data.forEach((x, i) => {
        const got = together.data[j * size + i]!;
        assert.ok(Math.abs(got - x) <= 1e-4 * Math.max(1, Math.abs(x)), `adapter ${j}, number ${i}: ${got}, not ${x}`);
        apart = Math.max(apart, Math.abs(x - together.data[i]!));
      });
      nll!.data.forEach((x, i) => void assert.ok(Math.abs(nlls[j]![i]! - x) <= 1e-4, `adapter ${j}, token ${i}`));
    }
    assert.ok(apart > 0.01, "adapters that do nothing would prove nothing");
    forward.close();
    await compiledGraphs.close();
  });
}

test("every base weight is in one product, whatever the number of adapters, and all before the first adapter is shared", async () => {
  const { model, layout } = await opened(["llama", "tied"]);
  const one = forwardGraph(model, layout);
  const stacked = stackGraph(one, ADAPTER_INPUTS, "M");
  const products = ({ nodes }: typeof one): number => {
    const weights = new Set(nodes.flatMap(({ op, output }) => (op.kind === "weight" ? [output.id] : [])));
    return nodes.filter(({ op, inputs }) => op.kind === "matmul" && inputs.some(({ id }) => weights.has(id))).length;
  };
  assert.equal(products(stacked), products(one));
  const sizes = { B: 2, T: 8, S: 2, P: layout.trainedSize };
  const saved = MEMBERS * flops(one, sizes) - flops(stacked, { ...sizes, M: MEMBERS });
  const first = model.architecture.linears.slice(0, 3).reduce((sum, linear) => sum + linear.in * linear.out, 0);
  assert.ok(saved >= (MEMBERS - 1) * 2 * 2 * 8 * first, `${saved} operations saved`);
});
