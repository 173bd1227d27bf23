/** `kindred evaluate`: loss and accuracy of a model, with a PEFT adapter or without, on a file of rows. */
import { adaptedModules, readPeftAdapter, scaleOf } from "../../shared/adapters/peft.js";
import type { JobContext } from "../../shared/base/command.js";
import { KindredError } from "../../shared/base/errors.js";
import type { RowFormat } from "../../shared/config/format.js";
import { OnnxRuntime } from "../../shared/runtimes/onnx/runtime.js";
import { RowEncoder } from "../data/encode.js";
import { readAllRows } from "../data/readers.js";
import type { LlamaConfig } from "../models/llama.js";
import { linearsOfLayer } from "../models/llama.js";
import { openModel } from "../models/open.js";
import { type AdapterLayout, type AdapterValues, adapterFromTensors, loraLayout } from "../tuning/lora.js";
import { Meter, Programs } from "../tuning/programs.js";
import { scoreMixtures } from "../tuning/scoring.js";

export interface EvaluateJob {
  /** Folder or hub id. */
  readonly model: string;
  /** PEFT folder. */
  readonly adapter?: string;
  /** File of rows. */
  readonly data: string;
  readonly maxTokens: number;
  readonly format: RowFormat;
}

export interface Evaluation {
  readonly examples: number;
  /** Scored tokens. */
  readonly tokens: number;
  /** Mean negative log-likelihood a scored token, nats. */
  readonly loss: number;
  /** Share of rows with choices whose right choice is the likeliest; null where no row has choices. */
  readonly accuracy: number | null;
}

export async function evaluateFile(job: EvaluateJob, context: JobContext): Promise<Evaluation> {
  const { log, progress, signal } = context;
  const examples = await readAllRows(job.data, job.format);
  if (examples.length === 0) {
    throw new KindredError("invalid_data", `${job.data}: has no rows; give a file with at least one`, {
      file: job.data,
    });
  }
  const { base, tokenizer, renderChat } = await openModel(job.model, context);
  const encoder = new RowEncoder(tokenizer, { maxTokens: Math.min(job.maxTokens, base.config.context), renderChat });
  const rows = examples.map((example) => encoder.encode(example));
  const adapter = job.adapter === undefined ? undefined : await peftAdapter(base.config, job.adapter);
  if (adapter !== undefined)
    log.info("adapter read", { base: adapter.baseModel ?? "unnamed", rank: adapter.layout.spec.rank });
  const layout =
    adapter?.layout ?? loraLayout(base.config, { rank: 1, alpha: 1, modules: [], dropout: 0, freezeA: true });
  const runtime = new OnnxRuntime();
  const stage = progress.stage("evaluate", rows.length);
  try {
    const members = adapter === undefined ? [] : [adapter.values];
    const [score] = await scoreMixtures(
      new Programs(runtime, base),
      layout,
      members,
      [members.map(() => 1)],
      rows,
      new Meter(signal),
      { onBatch: (count) => stage.tick(count) },
    );
    const { nllSum, tokens, correct, choiceRows } = score!;
    return {
      examples: rows.length,
      tokens,
      loss: nllSum / tokens,
      accuracy: choiceRows > 0 ? correct / choiceRows : null,
    };
  } finally {
    stage.done();
    await runtime.close();
  }
}

/** A PEFT folder's adapter in the model's own layout. @throws {KindredError} `invalid_adapter` where it does not fit the model */
async function peftAdapter(
  config: LlamaConfig,
  folder: string,
): Promise<{ layout: AdapterLayout; values: AdapterValues; baseModel: string | null }> {
  const adapter = await readPeftAdapter(folder);
  const modules = adaptedModules(adapter.tensors);
  const known = linearsOfLayer(config).map(({ module }) => module);
  const strange = modules.find((module) => !known.includes(module));
  if (strange !== undefined) {
    throw new KindredError("invalid_adapter", `${folder}: adapts ${strange}, which is none of ${known.join(", ")}`);
  }
  const layout = loraLayout(config, {
    rank: adapter.rank,
    // The layout scales by alpha / rank; rank-stabilised LoRA by alpha / sqrt(rank).
    alpha: scaleOf(adapter) * adapter.rank,
    modules,
    dropout: 0,
    freezeA: false,
  });
  return { layout, values: adapterFromTensors(layout, adapter.tensors, folder), baseModel: adapter.baseModel };
}
