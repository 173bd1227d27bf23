/**
 * One measurement: the work is repeated; measured are its time, its operations counted from the graphs, and the peak memory of the
 * process, which must not do any other work.
 */
import { peakRssBytes } from "../../shared/base/peak.js";
import { openRuntime } from "../../shared/runtimes/choose.js";
import type { Architecture } from "../models/architecture.js";
import { openBaseModel } from "../models/base.js";
import { peftAdapter } from "../tasks/inputs.js";
import { type Adapter, type AdapterValues, initialAdapter, isFresh } from "../tuning/adapter.js";
import { trainingFeeds } from "../tuning/batches.js";
import { CompiledGraphs, Meter } from "../tuning/compiled-graphs.js";
import { type LoraLayout, loraLayout } from "../tuning/lora.js";
import { Forward } from "../tuning/mixing.js";
import { sketchRows } from "../tuning/sketching.js";
import { trainAdapter } from "../tuning/training.js";
import { analyticFlops } from "./analytic.js";
import { drawnRows, type Setting, SKETCH_DIM, type Work } from "./work.js";

export interface Measured {
  /** The runtime: "onnx-cpu". */
  readonly runtime: string;
  readonly flops: {
    /** By formula: client/profile/analytic.ts. */
    readonly analytic: number;
    /** From the graphs that ran. */
    readonly counted: number;
  };
  /** The median of the timed runs. */
  readonly seconds: number;
  /** Tokens of the batch per second; each token counts once for any number of adapters. */
  readonly tokensPerSecond: number;
  /** Largest resident memory of the process, with mapped weights and the program itself, without a GPU's memory. */
  readonly peakRssBytes: number;
}

/** Timed runs, after one run for warming up. */
const RUNS = 5;
const SEED = 0;

/** Measures a work. @throws {KindredError} what opening the model, the adapter or the runtime throws, and what the work throws */
export async function measure(setting: Setting, work: Work): Promise<Measured> {
  const { batch } = setting;
  const base = await openBaseModel(setting.model, { quantization: setting.quantization });
  const { architecture } = base;
  const { layout, values } = await openAdapter(architecture, setting);
  const rows = drawnRows(batch, architecture.vocabulary);
  const runtime = await openRuntime(setting.runtime);
  const compiledGraphs = new CompiledGraphs(runtime, base);
  const meter = new Meter();
  try {
    const times = await timesOf(compiledGraphs, { layout, values }, rows, work, meter);
    const seconds = median(times.slice(1)) / 1000;
    return {
      runtime: runtime.name,
      flops: {
        analytic: analyticFlops(architecture, layout, work, batch, isFresh(layout, values)),
        counted: meter.flops / times.length,
      },
      seconds,
      tokensPerSecond: (batch.rows * batch.tokens) / seconds,
      peakRssBytes: peakRssBytes(),
    };
  } finally {
    await runtime.close();
  }
}

/** The adapter that the setting names, or a fresh adapter like a run's. */
export async function openAdapter(
  architecture: Architecture,
  { adapter }: Setting,
): Promise<{ layout: LoraLayout; values: AdapterValues }> {
  if ("folder" in adapter) return await peftAdapter(architecture, adapter.folder);
  const layout = loraLayout(architecture, { ...adapter, alpha: 2 * adapter.rank, dropout: 0, freezeA: true });
  return { layout, values: initialAdapter(layout, SEED) };
}

/** Milliseconds of each run; the first run is for warming up. */
async function timesOf(
  compiledGraphs: CompiledGraphs,
  { layout, values }: Adapter,
  rows: ReturnType<typeof drawnRows>,
  work: Work,
  meter: Meter,
): Promise<number[]> {
  const times: number[] = [];
  let start = performance.now();
  const lap = (): void => {
    const now = performance.now();
    times.push(now - start);
    start = now;
  };
  switch (work.kind) {
    case "forward": {
      const members = Array.from({ length: work.members }, () => values);
      const forward = await Forward.open(compiledGraphs, layout, members, meter);
      const { weights: _, ...feeds } = trainingFeeds(rows, compiledGraphs.model.architecture);
      for (let run = 0; run <= RUNS; run++) {
        await forward.nll(feeds);
        lap();
      }
      forward.close();
      return times;
    }
    case "train": {
      // The rate does not matter, but a loss that is not finite would end the training.
      const schedule = { learningRate: 1e-6, warmupSteps: 0, totalSteps: RUNS + 1, firstStep: 0, steps: RUNS + 1 };
      const plan = { ...schedule, weightDecay: 0, clipNorm: 1, seed: SEED };
      await trainAdapter(compiledGraphs, { layout, values }, () => rows, plan, { meter, onStep: lap });
      return times;
    }
    case "sketch": {
      const tokensPerBatch = Number.MAX_SAFE_INTEGER;
      const plan = { dim: SKETCH_DIM, seed: SEED, negatives: 0, tokensPerBatch };
      for (let run = 0; run <= RUNS; run++) {
        await sketchRows(compiledGraphs, { layout, values }, rows, plan, { meter });
        lap();
      }
      return times;
    }
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return ((sorted[(sorted.length - 1) >> 1] as number) + (sorted[sorted.length >> 1] as number)) / 2;
}
