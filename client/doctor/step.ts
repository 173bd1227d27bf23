/**
 * One training step with the same numbers on every runtime: the demo's model, an adapter on all linears, random rows. It knows no
 * particular runtime.
 */
import { asset } from "../../shared/base/assets.js";
import { KindredError } from "../../shared/base/errors.js";
import { SeededRng } from "../../shared/base/random.js";
import type { Runtime } from "../../shared/runtimes/types.js";
import { moduleNames } from "../models/architecture.js";
import { openBaseModel } from "../models/base.js";
import { initialAdapter } from "../tuning/adapter.js";
import { trainingFeeds } from "../tuning/batches.js";
import { trainingGraph } from "../tuning/graphs.js";
import { loraLayout } from "../tuning/lora.js";

export interface StepResult {
  /** Nats per scored token. */
  readonly loss: number;
  /** Gradient of the loss in the adapter's values. */
  readonly gradient: Float32Array;
  /** Duration of the second step: the first step also prepares. */
  readonly milliseconds: number;
}

/** Small, because plain JavaScript and software GPUs are slow. */
const ROWS = 2;
const LENGTH = 8;
const SEED = 1;

/** Takes the step. @throws {KindredError} what the runtime throws; `task_failed` where the result is not finite */
export async function trainingStep(runtime: Runtime): Promise<StepResult> {
  const model = await openBaseModel(asset("simulations", "demo", "model"));
  const { architecture } = model;
  const modules = moduleNames(architecture);
  const layout = loraLayout(architecture, { rank: 4, alpha: 8, modules, dropout: 0, freezeA: false });
  const rng = new SeededRng(SEED, "doctor");
  // With a fresh adapter's B of zeros, A's gradient would be zero too.
  const trained = initialAdapter(layout, SEED).trained.map((value) => (value === 0 ? 0.02 * rng.normal() : value));
  const rows = Array.from({ length: ROWS }, () => ({
    tokens: Int32Array.from({ length: LENGTH }, () => rng.int(architecture.vocabulary)),
    scored: Int32Array.from({ length: LENGTH / 2 }, (_, at) => LENGTH / 2 + at),
  }));
  const feeds = {
    ...trainingFeeds(rows, architecture),
    trained: { shape: [layout.trainedSize], data: trained },
  };
  const step = await runtime.compile(trainingGraph(model, layout));
  await step.run(feeds);
  const start = performance.now();
  const { tensors } = await step.run(feeds);
  const milliseconds = performance.now() - start;
  await step.release();
  const loss = tensors.loss!.data[0] as number;
  const gradient = tensors.grad!.data as Float32Array;
  if (![loss, ...gradient].every(Number.isFinite))
    throw new KindredError("task_failed", "the loss or its gradient is not finite");
  return { loss, gradient, milliseconds };
}
