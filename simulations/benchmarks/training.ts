/**
 * Speed and memory of a LoRA training step on a float32 and on a 4-bit base, beside PyTorch with PEFT on the same work, and on
 * TensorFlow.js where `kindred runtime add tfjs` installed it.
 */
import { moduleNames } from "../../client/models/architecture.js";
import { type BaseModel, openBaseModel } from "../../client/models/base.js";
import { initialAdapter } from "../../client/tuning/adapter.js";
import { CompiledGraphs, Meter } from "../../client/tuning/compiled-graphs.js";
import { loraLayout } from "../../client/tuning/lora.js";
import { trainAdapter } from "../../client/tuning/training.js";
import { peakRssBytes } from "../../shared/base/peak.js";
import { CANDIDATES } from "../../shared/runtimes/choose.js";
import type { Runtime } from "../../shared/runtimes/types.js";
import { median } from "./engine.js";
import { runPeer } from "./peers.js";
import { randomRows, withRandomModel } from "./shape.js";

const BATCH = 8;
const LENGTH = 64;
const RANK = 16;
const WARM_UP = 3;
const REPEATS = 9;

export async function benchTraining(runtime: Runtime, print: (line: string) => void): Promise<void> {
  await withRandomModel(async (model) => {
    print(`  ${BATCH} x ${LENGTH} tokens, rank ${RANK} on seven linears, all tokens scored`);
    const { seconds, first } = await timeSteps(runtime, model);
    const peak = peakRssBytes();
    const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(2)} GiB`;
    print(
      `  ${runtime.name}: ${seconds.toFixed(2)} s per step, the first done after ${first.toFixed(1)} s, peak memory ${gib(peak)}`,
    );
    const packed = await openBaseModel(model.folder.path, { quantization: "nf4" });
    const quantised = await timeSteps(runtime, packed);
    print(
      `  ${runtime.name}, base in NF4: ${quantised.seconds.toFixed(2)} s, ${(quantised.seconds / seconds).toFixed(2)} of float32's`,
    );
    const peer = await runPeer("lora_step.py", [], print);
    if (peer !== undefined) {
      print(`  ratio to PyTorch with PEFT ${(peer.seconds / seconds).toFixed(2)}`);
      if (peer.peakRssBytes)
        print(`  memory ${(peak / peer.peakRssBytes).toFixed(2)} of its ${gib(peer.peakRssBytes)}`);
    }
    const tfjs = CANDIDATES.find(({ name }) => name === "tfjs-node")!;
    try {
      const other = await tfjs.open();
      const theirs = await timeSteps(other, model);
      await other.close();
      const ratio = peer === undefined ? "" : `, ratio to PyTorch ${(peer.seconds / theirs.seconds).toFixed(2)}`;
      print(`  ${tfjs.name}: ${theirs.seconds.toFixed(2)} s per step${ratio}`);
    } catch (error) {
      print(`  ${tfjs.name} is left out: ${(error as Error).message}`);
    }
  });
}

/** @returns the median seconds of a step, and the seconds from the start to the end of the first step */
async function timeSteps(runtime: Runtime, model: BaseModel): Promise<{ seconds: number; first: number }> {
  const start = performance.now();
  const layout = loraLayout(model.architecture, {
    rank: RANK,
    alpha: 2 * RANK,
    modules: moduleNames(model.architecture),
    dropout: 0,
    freezeA: false,
  });
  const rows = randomRows(model, BATCH, LENGTH, LENGTH);
  const steps = WARM_UP + REPEATS;
  const plan = { learningRate: 1e-3, warmupSteps: 0, totalSteps: steps, weightDecay: 0.01, clipNorm: 1, seed: 3 };
  const ends: number[] = [];
  const compiledGraphs = new CompiledGraphs(runtime, model);
  const adapter = initialAdapter(layout, 3);
  await trainAdapter(
    compiledGraphs,
    { layout, values: adapter },
    () => rows,
    { ...plan, firstStep: 0, steps },
    { meter: new Meter(), onStep: () => ends.push(performance.now()) },
  );
  await compiledGraphs.close();
  const seconds = median(ends.slice(WARM_UP).map((end, i) => (end - (ends[WARM_UP + i - 1] as number)) / 1000));
  return { seconds, first: ((ends[0] as number) - start) / 1000 };
}
