/**
 * The contract of runtimes: the numbers of ONNX Runtime's cpu provider on each operation with its gradient and on tiny models, resident
 * tensors, errors that name wrong feeds, and a free event loop of the caller.
 */
import assert from "node:assert/strict";
import { basename } from "node:path";
import { after, before, describe, test } from "node:test";
import type { EncodedRow } from "../../client/data/types.js";
import { moduleNames } from "../../client/models/architecture.js";
import { type BaseModel, openBaseModel } from "../../client/models/base.js";
import { type AdapterValues, initialAdapter } from "../../client/tuning/adapter.js";
import { trainingFeeds } from "../../client/tuning/batches.js";
import { CompiledGraphs, Meter } from "../../client/tuning/compiled-graphs.js";
import { trainingGraph } from "../../client/tuning/graphs.js";
import { adapterLayout } from "../../client/tuning/kinds.js";
import { sketchRows } from "../../client/tuning/sketching.js";
import { trainAdapter } from "../../client/tuning/training.js";
import { type BottleneckSettings, FULL, type TunedSettings } from "../../shared/adapters/settings.js";
import { asset } from "../../shared/base/assets.js";
import { asKindredError } from "../../shared/base/errors.js";
import { SeededRng } from "../../shared/base/random.js";
import { GraphBuilder } from "../../shared/graph/graph.js";
import type { Candidate } from "../../shared/runtimes/choose.js";
import { OnnxRuntime } from "../../shared/runtimes/onnx/runtime.js";
import type { HostTensor, Runtime } from "../../shared/runtimes/types.js";
import { choicesOf } from "./choices.js";
import { allLogits } from "./logits.js";
import { OP_CASES, type OpCase, prepareCase } from "./op-cases.js";

type Numbers = Float32Array | Int32Array;

/** Largest difference, relative to the largest number (or to 1e-3 where all are smaller). */
export function difference(got: Numbers, want: Numbers): number {
  if (got.length !== want.length) return Number.POSITIVE_INFINITY;
  let [worst, largest] = [0, 1e-3];
  for (let i = 0; i < want.length; i++) {
    const off = Math.abs(got[i]! - want[i]!);
    worst = Number.isNaN(off) ? Number.POSITIVE_INFINITY : Math.max(worst, off);
    largest = Math.max(largest, Math.abs(want[i]!));
  }
  return worst / largest;
}

/** Sums in another order differ by a few units of float32's last place, 6e-8; GPUs approximate exp and tanh to about 1e-6. */
export const OPERATION = 1e-5;
/** A few layers and their backward. */
const MODEL = 1e-4;

async function runCase(runtime: Runtime, op: OpCase): Promise<Readonly<Record<string, HostTensor>>> {
  const { graph, feeds } = prepareCase(op);
  const program = await runtime.compile(graph);
  const { tensors } = await program.run(feeds);
  await program.release();
  return tensors;
}

const fixture = (...parts: string[]): Promise<BaseModel> => openBaseModel(asset("test", "fixtures", ...parts));

export const LLAMA = await fixture("llama", "tied");
export const NF4 = await openBaseModel(asset("test", "fixtures", "gguf", "tiny.gguf"), { quantization: "nf4" });
export const GPT2 = await fixture("families", "gpt2");
/** One model per variant of the computation, all of a few thousand parameters. */
export const MODELS: readonly BaseModel[] = [
  LLAMA,
  GPT2,
  ...(await Promise.all(["gptj", "pythia"].map((family) => fixture("families", family)))),
  // Packed weights: a GGUF's own blocks, and NF4.
  await fixture("gguf", "tiny.gguf"),
  NF4,
];

/** Every model with a LoRA on all linears; two with bottlenecks, and two with all weights, which have operations of their own. */
function adaptersOf(model: BaseModel): TunedSettings[] {
  const common = { dropout: 0, freezeA: false };
  const bottlenecks: readonly (readonly [BaseModel, BottleneckSettings])[] = [
    [LLAMA, { kind: "houlsby", reduction: 4, activation: "gelu", ...common, freezeA: true }],
    [NF4, { kind: "pfeiffer", reduction: 4, activation: "relu", ...common }],
  ];
  return [
    { kind: "lora", rank: 4, alpha: 8, modules: moduleNames(model.architecture), rslora: false, ...common },
    ...bottlenecks.filter(([on]) => on === model).map(([, settings]) => settings),
    ...([LLAMA, GPT2].includes(model) ? [FULL] : []),
  ];
}

/** The results of a model with its adapters. */
async function runModel(runtime: Runtime, model: BaseModel): Promise<Record<string, Numbers>> {
  const all: Record<string, Numbers> = {};
  for (const settings of adaptersOf(model)) {
    const computed = await runAdapter(runtime, model, settings);
    for (const [name, numbers] of Object.entries(computed)) all[`${settings.kind}'s ${name}`] = numbers;
  }
  return all;
}

/** Logits, a training gradient and losses of four steps; with one adapter also margins and sketches. */
async function runAdapter(
  runtime: Runtime,
  model: BaseModel,
  settings: TunedSettings,
): Promise<Record<string, Numbers>> {
  const { architecture } = model;
  const layout = adapterLayout(model, settings);
  const rng = new SeededRng(11, "contract");
  const values: AdapterValues = {
    frozen: initialAdapter(layout, 3).frozen,
    trained: Float32Array.from({ length: layout.trainedSize }, () => 0.05 * rng.normal()),
  };
  const rows = [5, 7, 7].map((length): EncodedRow => {
    const tokens = Int32Array.from({ length }, () => rng.int(architecture.vocabulary));
    const other = Int32Array.of((tokens[length - 1]! + 1) % architecture.vocabulary);
    const choices = choicesOf(length - 1, [tokens.slice(-1), other], 0);
    return { tokens, scored: Int32Array.of(length - 1), choices };
  });
  const compiledGraphs = new CompiledGraphs(runtime, model);
  const meter = new Meter();
  const tokens = {
    shape: [2, 6] as const,
    data: Int32Array.from({ length: 12 }, () => rng.int(architecture.vocabulary)),
  };
  const logits = await allLogits(compiledGraphs, layout, values, tokens, meter);
  const training = await compiledGraphs.get("train", layout, () => trainingGraph(model, layout));
  const { tensors } = await training.executable.run({
    ...trainingFeeds(rows, architecture),
    trained: { shape: [values.trained.length], data: values.trained },
    ...(settings.freezeA ? { frozen: { shape: [values.frozen.length], data: values.frozen } } : {}),
  });
  const schedule = { learningRate: 0.01, warmupSteps: 1, totalSteps: 4, firstStep: 0, steps: 4 };
  const plan = { ...schedule, weightDecay: 0.01, clipNorm: 1, seed: 5 };
  const { losses } = await trainAdapter(compiledGraphs, { layout, values }, () => rows, plan, { meter });
  const tuned = { logits, gradient: tensors.grad!.data, loss: tensors.loss!.data, losses: Float32Array.from(losses) };
  if (settings.kind === "full") {
    await compiledGraphs.close();
    return tuned;
  }
  const sketched = await sketchRows(
    compiledGraphs,
    { layout, values },
    rows,
    { dim: 8, seed: 9, negatives: 1 },
    { meter },
  );
  await compiledGraphs.close();
  return { ...tuned, margins: sketched.margin, sketches: sketched.sketch };
}

const expectedOps = new Map<OpCase, Promise<Readonly<Record<string, HostTensor>>>>();
const expectedModels = new Map<BaseModel, Promise<Record<string, Numbers>>>();

/** What is known of a key, else what is made now. */
function once<K, V>(known: Map<K, V>, key: K, make: () => V): V {
  const value = known.get(key) ?? make();
  known.set(key, value);
  return value;
}

/** Tests of a runtime; one test skipped with the reason where the runtime does not work on this machine. */
export async function keepsContract(candidate: Candidate, models = MODELS): Promise<void> {
  const opened = await candidate.open({ threads: 1 }).catch(asKindredError);
  if (opened instanceof Error) {
    test(`${candidate.name} keeps the contract`, { skip: opened.message }, () => {});
    return;
  }
  const runtime = opened;
  describe(`${candidate.name} keeps the contract`, () => {
    let reference: Runtime;
    before(() => {
      reference = new OnnxRuntime({ threads: 1 });
    });
    after(() => Promise.all([runtime.close(), reference.close()]));

    test("it has its name", () => {
      assert.equal(runtime.name, candidate.name);
    });

    test("every operation and its gradient give the reference's numbers", async () => {
      const off: string[] = [];
      for (const op of OP_CASES) {
        const tensors = await runCase(runtime, op);
        for (const [name, want] of Object.entries(await once(expectedOps, op, () => runCase(reference, op)))) {
          const got = tensors[name]!;
          const worst = difference(got.data, want.data);
          if (`${got.shape}` !== `${want.shape}`) off.push(`${op.name}, ${name}: shape [${got.shape}]`);
          if (worst > OPERATION) off.push(`${op.name}, ${name}: off by ${worst}`);
        }
      }
      assert.deepEqual(off, []);
    });

    test("models' logits, training gradients, losses, margins and sketches are the reference's", async () => {
      const off: string[] = [];
      for (const model of models) {
        const expected = await once(expectedModels, model, () => runModel(reference, model));
        const got = await runModel(runtime, model);
        for (const [name, want] of Object.entries(expected)) {
          const worst = difference(got[name]!, want);
          if (worst > MODEL) off.push(`${basename(model.folder.path)}, ${name}: off by ${worst}`);
        }
      }
      assert.deepEqual(off, []);
    });

    test("tensors stay with it, serve as feeds, come back, and are gone when freed", async () => {
      const g = new GraphBuilder();
      const x = g.input("x", ["n"]);
      const program = await runtime.compile(g.build({ double: g.add(x, x), same: x }));
      const first = await runtime.upload({ shape: [3], data: Float32Array.of(1, 2, 3) });
      assert.deepEqual(first.shape, [3]);
      const run = await program.run({ x: first }, { keep: ["double"] });
      assert.deepEqual(Object.keys(run.tensors), ["same"]);
      assert.deepEqual([...run.tensors.same!.data], [1, 2, 3]);
      const double = run.resident.double!;
      const again = await program.run({ x: double }, { fetch: ["double"], keep: ["same", "double"] });
      assert.deepEqual([...again.tensors.double!.data], [4, 8, 12]);
      runtime.free(first, again.resident.double!);
      assert.deepEqual([...(await runtime.download(double)).data], [2, 4, 6]);
      assert.deepEqual([...(await runtime.download(again.resident.same!)).data], [2, 4, 6]);
      await assert.rejects(runtime.download(first), /was freed/);
      await assert.rejects(program.run({ x: first }), /feed x was freed/);
      runtime.free(double, again.resident.same!);
      await program.release();
      await assert.rejects(program.run({ x: { shape: [1], data: Float32Array.of(1) } }), /released/);
    });

    test("a feed that is missing or does not fit is named, and nothing runs", async () => {
      const g = new GraphBuilder();
      const [a, b] = [g.input("a", ["n", 2]), g.input("b", ["n", 2])];
      const program = await runtime.compile(g.build({ sum: g.add(a, b) }));
      const fed = { shape: [2, 2], data: new Float32Array(4) };
      await assert.rejects(program.run({ a: fed }), { code: "shape_mismatch", message: "feed b is missing" });
      await assert.rejects(program.run({ a: fed, b: { shape: [3, 2], data: new Float32Array(6) } }), {
        code: "shape_mismatch",
        message: /^feed b: shape \[3, 2\] does not fit \[n, 2\]/,
      });
      assert.equal((await program.run({ a: fed, b: fed })).tensors.sum!.data.length, 4);
      await program.release();
    });

    test("runs asked for at one time are all done", async () => {
      const g = new GraphBuilder();
      const x = g.input("x", ["n"]);
      const program = await runtime.compile(g.build({ total: g.total(x) }));
      const runs = [1, 2, 3].map((n) => program.run({ x: { shape: [n], data: new Float32Array(n).fill(1) } }));
      const totals = (await Promise.all(runs)).map(({ tensors }) => tensors.total!.data[0]);
      assert.deepEqual(totals, [1, 2, 3]);
      await program.release();
    });

    test("the caller's event loop stays free", async () => {
      const size = 256;
      const g = new GraphBuilder();
      const x = g.input("x", [size, size]);
      const program = await runtime.compile(g.build({ y: g.total(g.matmul(x, x)) }));
      const feeds = { x: { shape: [size, size], data: new Float32Array(size * size).fill(1) } };
      let [turns, most, going] = [0, 0, true];
      const turn = (): void => {
        turns++;
        if (going) setImmediate(turn);
      };
      setImmediate(turn);
      // A run on this thread would leave the event loop at most one turn. A busy machine may do so once, but not always.
      for (const start = performance.now(); most <= 5 && performance.now() - start < 60_000; ) {
        turns = 0;
        await program.run(feeds);
        most = Math.max(most, turns);
      }
      going = false;
      assert.ok(most > 5, `the event loop turned at most ${most} times in a run`);
      await program.release();
    });
  });
}
