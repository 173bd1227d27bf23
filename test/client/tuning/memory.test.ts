/** Memory limits: their notation, and batches that stay within them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { openBaseModel } from "../../../client/models/base.js";
import { initialAdapter } from "../../../client/tuning/adapter.js";
import { CompiledGraphs, Meter } from "../../../client/tuning/compiled-graphs.js";
import { trainingGraph } from "../../../client/tuning/graphs.js";
import { loraLayout } from "../../../client/tuning/lora.js";
import { GraphMemory, idleBytes, MemoryBudget, optimizerBytes } from "../../../client/tuning/memory.js";
import { trainAdapter } from "../../../client/tuning/training.js";
import { parseBytes } from "../../../shared/base/bytes.js";
import { silentLog } from "../../../shared/base/log.js";
import { SeededRng } from "../../../shared/base/random.js";
import { MemoryCounter } from "../../../shared/graph/memory.js";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";
import { difference } from "../../support/contract.js";
import { TINY_MODEL } from "../../support/tiny.js";

const model = await openBaseModel(TINY_MODEL);
const layout = loraLayout(model.architecture, { rank: 2, alpha: 4, modules: [], dropout: 0, freezeA: false });
const rng = new SeededRng(1, "rows");
const rows = Array.from({ length: 8 }, (_, i) => ({
  tokens: Int32Array.from({ length: 40 + i }, () => rng.int(model.architecture.vocabulary)),
  scored: Int32Array.from({ length: 20 }, (_, k) => 20 + k),
}));
const session = (checkpoint: boolean, B: number): number =>
  new GraphMemory(trainingGraph(model, layout, { checkpoint })).of({ B, T: 39, S: 20 * B });
/** The limit under which a training session may take a number of bytes. */
const limitFor = (bytes: number): number =>
  Math.ceil((idleBytes(model) + optimizerBytes(layout) + bytes / 0.75) / 0.9) + 1;

test("sizes are read with their units, and anything else is refused by name", () => {
  assert.deepEqual(
    ["8GiB", "512MiB", "1.5 GiB", "2GB"].map((text) => parseBytes(text, "--memory")),
    [2 ** 33, 2 ** 29, 1.5 * 2 ** 30, 2e9],
  );
  for (const text of ["8", "GiB", "-1GiB", "0MiB", "8 gigs"]) {
    assert.throws(() => parseBytes(text, "--memory"), { code: "invalid_option", message: /^--memory is / });
  }
});

test("recomputed layers take less memory, and more rows take more", () => {
  const [kept, again] = [false, true].map(
    (checkpoint) => new MemoryCounter(trainingGraph(model, layout, { checkpoint })),
  );
  const size = { B: 8, T: 39, S: 8 };
  assert.ok(again!.peak(size) < 0.8 * kept!.peak(size));
  assert.ok(kept!.peak({ ...size, B: 1 }) < 0.3 * kept!.peak(size));
});

test("a step is split into parts that fit, trains like the whole step, and logs the choice", async () => {
  const runtime = new OnnxRuntime({ threads: 1, lowMemory: true });
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
  const start = initialAdapter(layout, 1);
  const train = async (limit?: number) => {
    const said: unknown[] = [];
    const log = Object.assign(Object.create(silentLog), { info: (_: string, facts: unknown) => said.push(facts) });
    const budget = limit === undefined ? undefined : new MemoryBudget(limit, model, log, true);
    const compiledGraphs = new CompiledGraphs(runtime, model, budget);
    const { losses } = await trainAdapter(compiledGraphs, { layout, values: start }, () => rows, plan, {
      meter: new Meter(),
    });
    return { losses: Float32Array.from(losses), said };
  };
  const free = await train();
  const roomy = await train(limitFor(2 * session(false, 8)));
  const tight = await train(limitFor(session(false, 3)));
  const [whole, parts] = [roomy, tight].map(({ said }) => (said[0] as { partsOfAStep: number }).partsOfAStep);
  assert.equal(whole, 1);
  assert.ok(parts! > 1 && parts! <= 8);
  for (const { losses } of [roomy, tight]) assert.ok(difference(losses, free.losses) < 1e-5);
  await assert.rejects(train(idleBytes(model)), {
    code: "invalid_option",
    message: /is too little; training needs at least \d+ MiB for its longest row of 39 tokens/,
  });
  await runtime.close();
});
