/** One measurement of `npm run bench -- memory`, in a process of its own: its only argument is the case, as JSON. */
import { moduleNames } from "../../client/models/architecture.js";
import { openBaseModel } from "../../client/models/base.js";
import { initialAdapter } from "../../client/tuning/adapter.js";
import { CompiledGraphs, Meter } from "../../client/tuning/compiled-graphs.js";
import { sketchGraph, trainingGraph } from "../../client/tuning/graphs.js";
import { loraLayout } from "../../client/tuning/lora.js";
import { GraphMemory, idleBytes, optimizerBytes } from "../../client/tuning/memory.js";
import { membersGraph } from "../../client/tuning/mixing.js";
import { scoreMixtures } from "../../client/tuning/scoring.js";
import { sketchRows } from "../../client/tuning/sketching.js";
import { trainAdapter } from "../../client/tuning/training.js";
import { peakRssBytes } from "../../shared/base/peak.js";
import { OnnxRuntime } from "../../shared/runtimes/onnx/runtime.js";
import { randomRows } from "./shape.js";

export interface MemoryCase {
  /** A model's folder. */
  readonly model: string;
  readonly work: "training" | "checkpointed" | "scoring" | "sketching";
  readonly batch: number;
  readonly length: number;
}

/** Bytes. */
export interface MemoryFigures {
  readonly predicted: number;
  readonly measured: number;
}

const STEPS = 2;
/** Scored tokens of a row in scoring. */
const ANSWER = 4;

const { model: path, work, batch, length } = JSON.parse(process.argv[2] ?? "{}") as MemoryCase;
const model = await openBaseModel(path);
const trains = work === "training" || work === "checkpointed";
const modules = moduleNames(model.architecture);
const layout = loraLayout(model.architecture, { rank: 16, alpha: 32, modules, dropout: 0, freezeA: !trains });
const values = initialAdapter(layout, 3);
const rows = randomRows(model, batch, length, trains ? length : ANSWER);
const sketch = { dim: 400, seed: 5 };
const runtime = new OnnxRuntime({ lowMemory: true });
const compiledGraphs = new CompiledGraphs(runtime, model);
const meter = new Meter();
if (trains) {
  const schedule = { learningRate: 1e-3, warmupSteps: 0, totalSteps: STEPS, firstStep: 0, steps: STEPS };
  const plan = { ...schedule, weightDecay: 0.01, clipNorm: 1, seed: 3, checkpoint: work === "checkpointed" };
  await trainAdapter(compiledGraphs, { layout, values }, () => rows, plan, { meter });
} else if (work === "scoring") {
  const limits = { tokens: batch * length, logits: Number.POSITIVE_INFINITY };
  await scoreMixtures(compiledGraphs, { layout, members: [values] }, [[1]], rows, { meter, limits });
} else {
  const plan = { ...sketch, negatives: 0, tokensPerBatch: batch * (length + 1) };
  await sketchRows(compiledGraphs, { layout, values }, rows, plan, { meter });
}
const measured = peakRssBytes();
await runtime.close();

const graph = trains
  ? trainingGraph(model, layout, { checkpoint: work === "checkpointed" })
  : work === "scoring"
    ? membersGraph(model, layout)
    : sketchGraph(model, layout, sketch, { fresh: true });
const scored = batch * (trains ? length : ANSWER);
const session = new GraphMemory(graph).of({ B: batch, T: length, S: scored, M: 1, K: 1 });
const predicted = idleBytes(model) + (trains ? optimizerBytes(layout) : 0) + session;
process.stdout.write(JSON.stringify({ predicted, measured } satisfies MemoryFigures));
process.exit(0);
