/**
 * Pretrains the demo's base model: full-parameter training of a small Llama on the generated corpus, by Kindred's own
 * engine. Writes a Hugging Face folder (weights as float16). Run once by hand; its result is in the repository:
 *
 *     node dist/simulations/demo/pretrain.js [FOLDER]
 *
 * It knows nothing of populations or adapters.
 */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { RowEncoder } from "../../client/data/encode.js";
import type { EncodedRow, Example, Tokenizer } from "../../client/data/types.js";
import type { Architecture } from "../../client/models/architecture.js";
import { readArchitecture } from "../../client/models/families.js";
import { loadTokenizer } from "../../client/models/tokenizer.js";
import { trainingFeeds } from "../../client/tuning/batches.js";
import { adamwGraph, fullTrainingGraph } from "../../client/tuning/graphs.js";
import { learningRateAt, type Schedule } from "../../client/tuning/training.js";
import { writeSafetensors } from "../../shared/adapters/safetensors.js";
import { writeAtomically } from "../../shared/base/atomic.js";
import { KindredError } from "../../shared/base/errors.js";
import { makeFolder } from "../../shared/base/folders.js";
import { createLog, type Logger } from "../../shared/base/log.js";
import { SeededRng } from "../../shared/base/random.js";
import { OnnxRuntime } from "../../shared/runtimes/onnx/runtime.js";
import type { HostTensor, ResidentTensor, Runtime } from "../../shared/runtimes/types.js";
import { corpus } from "./corpus.js";
import { DEMO_MODEL } from "./demo-model.js";
import { demoTokenizer } from "./tokenizer.js";

/** config.json. @param vocabulary tokens of the tokenizer */
export function demoConfig(vocabulary: number): Record<string, unknown> {
  return {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    vocab_size: vocabulary,
    hidden_size: 128,
    intermediate_size: 352,
    num_hidden_layers: 3,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 32,
    max_position_embeddings: 64,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    hidden_act: "silu",
    attention_bias: false,
    mlp_bias: false,
    tie_word_embeddings: true,
    bos_token_id: 1,
    eos_token_id: 2,
    torch_dtype: "float16",
  };
}

export interface PretrainingPlan extends Schedule {
  readonly seed: number;
  /** Rows per step. */
  readonly batch: number;
  readonly weightDecay: number;
  /** Largest L2 norm of a step's gradient. */
  readonly clipNorm: number;
}

/** The options of the model in the repository. */
export const PRETRAINING: PretrainingPlan = {
  seed: 0,
  batch: 32,
  learningRate: 3e-3,
  warmupSteps: 100,
  totalSteps: 3000,
  weightDecay: 0.02,
  clipNorm: 1,
};

/** An endless sequence of batches of encoded corpus rows; a row is repeated only by chance. */
export async function* pretrainingBatches(
  tokenizer: Tokenizer,
  { seed, batch, maxTokens }: { seed: number; batch: number; maxTokens: number },
): AsyncGenerator<EncodedRow[], never, void> {
  const encoder = new RowEncoder(tokenizer, { maxTokens });
  let rows: Example[] = [];
  for (const row of corpus(seed)) {
    rows.push(
      typeof row === "string"
        ? { kind: "text", where: "corpus", text: row }
        : { kind: "answer", where: "corpus", ...row },
    );
    if (rows.length === batch) {
      yield await encoder.encode(rows);
      rows = [];
    }
  }
  throw new KindredError("internal", "the corpus has ended");
}

/** Initial weights: norms 1, linears normal with 1 / sqrt(in), outputs to the residual stream scaled down by depth. */
function initialWeights(
  architecture: Architecture,
  seed: number,
): Map<string, { shape: readonly number[]; data: Float32Array }> {
  const tensors = new Map<string, { shape: readonly number[]; data: Float32Array }>();
  for (const [name, shape] of architecture.weights) {
    const rng = new SeededRng(seed, "demo-weights", name);
    const data = new Float32Array(shape.reduce((n, dim) => n * dim, 1));
    const [, width] = shape;
    if (width === undefined) data.fill(1);
    else {
      const residual = /o_proj|down_proj/.test(name) ? 1 / Math.sqrt(2 * architecture.layers) : 1;
      const stdDev = /embed_tokens|lm_head/.test(name) ? 0.05 : residual / Math.sqrt(width);
      for (let i = 0; i < data.length; i++) data[i] = stdDev * rng.normal();
    }
    tensors.set(name, { shape, data });
  }
  return tensors;
}

/** Trains and writes the folder. Returns the losses, nats per scored token, one per step. */
export async function pretrain(
  folder: string,
  plan: PretrainingPlan,
  runtime: Runtime,
  log: Logger,
): Promise<readonly number[]> {
  makeFolder(folder);
  const made = demoTokenizer();
  const write = (name: string, value: unknown) =>
    writeAtomically(join(folder, name), `${JSON.stringify(value, undefined, 1)}\n`);
  await write("tokenizer.json", made.tokenizer);
  await write("tokenizer_config.json", made.config);
  const tokenizer = await loadTokenizer(folder);
  const json = demoConfig(tokenizer.vocabularySize);
  await write("config.json", json);
  const architecture = readArchitecture(json);

  const tensors = initialWeights(architecture, plan.seed);
  const size = [...tensors.values()].reduce((n, { data }) => n + data.length, 0);
  const flat = new Float32Array(size);
  let at = 0;
  for (const { data } of tensors.values()) {
    flat.set(data, at);
    at += data.length;
  }
  const step = await runtime.compile(fullTrainingGraph(architecture));
  const update = await runtime.compile(adamwGraph(size, { beta2: 0.95 }));
  const scalar = (value: number): HostTensor => ({ shape: [1], data: Float32Array.of(value) });
  let parameters: ResidentTensor = await runtime.upload({ shape: [size], data: flat });
  let moment1: ResidentTensor = await runtime.upload({ shape: [size], data: new Float32Array(size) });
  let moment2: ResidentTensor = await runtime.upload({ shape: [size], data: new Float32Array(size) });
  const batches = pretrainingBatches(tokenizer, { ...plan, maxTokens: architecture.context });
  const losses: number[] = [];
  for (let s = 0; s < plan.totalSteps; s++) {
    const { tensors: fetched, resident } = await step.run(
      { ...trainingFeeds((await batches.next()).value, architecture), parameters },
      { fetch: ["loss"], keep: ["grad"] },
    );
    const loss = fetched.loss!.data[0] as number;
    if (!Number.isFinite(loss)) throw new KindredError("task_failed", `the loss is ${loss} at step ${s}`);
    const rate = learningRateAt(plan, s);
    const next = await update.run(
      {
        values: parameters,
        moment1,
        moment2,
        grad: resident.grad!,
        rate: scalar(rate),
        decay: scalar(rate * plan.weightDecay),
        correction1: scalar(1 / (1 - 0.9 ** (s + 1))),
        correction2: scalar(1 / (1 - 0.95 ** (s + 1))),
        clip: scalar(plan.clipNorm),
      },
      { fetch: [], keep: ["values", "moment1", "moment2"] },
    );
    runtime.free(resident.grad!, parameters, moment1, moment2);
    parameters = next.resident.values!;
    moment1 = next.resident.moment1!;
    moment2 = next.resident.moment2!;
    losses.push(loss);
    if ((s + 1) % 100 === 0) {
      log.info("pretraining", { step: s + 1, loss: mean(losses.slice(-100)).toFixed(4), rate: rate.toExponential(1) });
    }
  }
  const trained = (await runtime.download(parameters)).data as Float32Array;
  runtime.free(parameters, moment1, moment2);
  await step.release();
  await update.release();
  at = 0;
  for (const tensor of tensors.values()) {
    tensor.data = trained.subarray(at, at + tensor.data.length);
    at += tensor.data.length;
  }
  await writeSafetensors(join(folder, "model.safetensors"), tensors, { dtype: "F16", metadata: { format: "pt" } });
  return losses;
}

function mean(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const runtime = new OnnxRuntime();
  const start = performance.now();
  const log = await createLog();
  const losses = await pretrain(process.argv[2] ?? DEMO_MODEL, PRETRAINING, runtime, log);
  log.info("pretrained", {
    steps: losses.length,
    loss: mean(losses.slice(-100)).toFixed(4),
    seconds: Math.round((performance.now() - start) / 1000),
  });
  await runtime.close();
}
