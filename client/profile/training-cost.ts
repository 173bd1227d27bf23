/**
 * What training an adapter on given rows costs: steps and operations by formula (analytic.ts), and time by taking some of these steps
 * on this machine.
 */
import { openRuntime } from "../../shared/runtimes/choose.js";
import type { RuntimeChoice } from "../../shared/runtimes/types.js";
import type { EncodedRow } from "../data/types.js";
import type { BaseModel } from "../models/base.js";
import { lengthOf } from "../models/positions.js";
import { initialAdapter } from "../tuning/adapter.js";
import { inputSequence, packRows, scoredTokens } from "../tuning/batches.js";
import { CompiledGraphs, Meter } from "../tuning/compiled-graphs.js";
import type { LoraLayout } from "../tuning/lora.js";
import { shuffledBatches, trainAdapter } from "../tuning/training.js";
import { analyticFlops } from "./analytic.js";

export interface TrainingSettings {
  readonly layout: LoraLayout;
  readonly epochs: number;
  /** Rows per step. */
  readonly batch: number;
  readonly seed: number;
}

export interface TrainingCost {
  readonly steps: number;
  readonly flops: number;
}

/** Steps that are taken for the time: the first compiles the graph and is not counted. */
const PROBED_STEPS = 4;

/** Operations of one step on rows, as they are packed. */
function stepFlops(base: BaseModel, layout: LoraLayout, rows: readonly EncodedRow[]): number {
  const starts = packRows(rows);
  const sequences = 1 + Math.max(...starts.map(({ sequence }) => sequence));
  const tokens = Math.max(...rows.map((row) => lengthOf(inputSequence(row))));
  const scored = scoredTokens(rows) / sequences;
  return analyticFlops(base.architecture, layout, { kind: "train" }, { rows: sequences, tokens, scored });
}

/** Steps and operations of training on one client's rows. */
export function trainingCost(
  base: BaseModel,
  rows: readonly EncodedRow[],
  { layout, epochs, batch, seed }: TrainingSettings,
): TrainingCost {
  const perPass = Math.ceil(rows.length / batch);
  const steps = Math.max(1, Math.round(epochs * perPass));
  const at = shuffledBatches(rows, batch, seed);
  let flops = 0;
  for (let step = 0; step < perPass; step++) flops += stepFlops(base, layout, at(step));
  return { steps, flops: (flops * steps) / perPass };
}

/**
 * Seconds that an operation of training on these rows takes here, from some steps.
 * @throws {KindredError} what opening the runtime and training throw
 */
export async function secondsPerFlop(
  base: BaseModel,
  rows: readonly EncodedRow[],
  { layout, batch, seed }: TrainingSettings,
  { runtime: choice, signal }: { readonly runtime: RuntimeChoice; readonly signal: AbortSignal },
): Promise<number> {
  const batchAt = shuffledBatches(rows, batch, seed);
  const runtime = await openRuntime(choice);
  try {
    const graphs = new CompiledGraphs(runtime, base);
    const times: number[] = [];
    let start = performance.now();
    await trainAdapter(
      graphs,
      { layout, values: initialAdapter(layout, seed) },
      batchAt,
      {
        learningRate: 1e-4,
        warmupSteps: 0,
        totalSteps: PROBED_STEPS,
        weightDecay: 0,
        clipNorm: 1,
        seed,
        firstStep: 0,
        steps: PROBED_STEPS,
      },
      {
        meter: new Meter(signal),
        onStep: () => {
          const now = performance.now();
          times.push((now - start) / 1000);
          start = now;
        },
      },
    );
    const timed = times.slice(1).reduce((sum, time) => sum + time, 0);
    let flops = 0;
    for (let step = 1; step < PROBED_STEPS; step++) flops += stepFlops(base, layout, batchAt(step));
    return timed / flops;
  } finally {
    await runtime.close();
  }
}
