/**
 * One training step that comes out the same wherever it is computed: the demo's embedded model, an adapter on all its linears,
 * drawn rows. It knows no runtime.
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
  /** Nats a scored token. */
  readonly loss: number;
  /** Of the loss, in the adapter's values. */
  readonly gradient: Float32Array;
  /** Of a second step: the first one also prepares. */
  readonly milliseconds: number;
}

/** Small: plain JavaScript and GPUs in software take their time. */
const ROWS = 2;
const LENGTH = 8;
const SEED = 1;

/** @throws {KindredError} what the runtime throws; `task_failed` where the result holds no finite numbers */
export async function trainingStep(runtime: Runtime): Promise<StepResult> {
  const model = await openBaseModel(asset("simulations", "demo", "model"));
  const { architecture } = model;
  const modules = moduleNames(architecture);
  const layout = loraLayout(architecture, { rank: 4, alpha: 8, modules, dropout: 0, freezeA: false });
  const rng = new SeededRng(SEED, "doctor");
  // A fresh adapter's B is zero, and so would be A's gradient.
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
