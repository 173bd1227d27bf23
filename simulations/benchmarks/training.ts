/** How fast a LoRA training step is, and how much memory it takes, beside PyTorch with PEFT on the same work. */
import { moduleNames } from "../../client/models/architecture.js";
import { initialAdapter, loraLayout } from "../../client/tuning/lora.js";
import { Meter, Programs } from "../../client/tuning/programs.js";
import { trainAdapter } from "../../client/tuning/training.js";
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
    const programs = new Programs(runtime, model);
    const first = initialAdapter(layout, 3);
    await trainAdapter(programs, layout, first, () => rows, { ...plan, firstStep: 0, steps }, new Meter(), {
      onStep: () => ends.push(performance.now()),
    });
    await programs.close();
    const seconds = median(ends.slice(WARM_UP).map((end, i) => (end - (ends[WARM_UP + i - 1] as number)) / 1000));
    const peak = process.resourceUsage().maxRSS * 1024;
    const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(2)} GiB`;
    print(
      `  LoRA step, ${BATCH} x ${LENGTH} tokens, rank ${RANK} on seven linears, all tokens scored: ${seconds.toFixed(2)} s`,
    );
    print(`  first step done after ${(((ends[0] as number) - start) / 1000).toFixed(1)} s, peak memory ${gib(peak)}`);
    const peer = await runPeer("lora_step.py", [], print);
    if (peer === undefined) return;
    print(`  ratio to PyTorch with PEFT ${(peer.seconds / seconds).toFixed(2)}`);
    if (peer.peakRssBytes) print(`  memory ${(peak / peer.peakRssBytes).toFixed(2)} of its ${gib(peer.peakRssBytes)}`);
  });
}
