/**
 * `kindred data check`: what a client's or a population's data is to a model (rows, tokens, labels, duplicates, what is scored) and
 * what training on it will cost. It trains nothing but a few steps for their time.
 */
import { stat } from "node:fs/promises";
import { basename } from "node:path";
import { encodeClient } from "../../client/data/encode.js";
import { type DataFacts, factsOf, notesOf } from "../../client/data/facts.js";
import { hasTrainFile, loadClient } from "../../client/data/load.js";
import { isPopulationFile } from "../../client/data/population-file.js";
import { rowsStem } from "../../client/data/readers.js";
import { type ClientRows, type EncodedRow, type Example, SPLITS } from "../../client/data/types.js";
import type { BaseModel } from "../../client/models/base.js";
import { type OpenedModel, openModel } from "../../client/models/open.js";
import { secondsPerFlop, type TrainingSettings, trainingCost } from "../../client/profile/training-cost.js";
import { encodingOf } from "../../client/tasks/encoding.js";
import { adapterLayout } from "../../client/tuning/kinds.js";
import type { LoraLayout } from "../../client/tuning/lora.js";
import type { JobContext } from "../../shared/base/command.js";
import { runDefaults } from "../../shared/config/config.js";
import type { EndOfText } from "../../shared/config/enumerations.js";
import type { RowFormat } from "../../shared/config/format.js";
import type { Quantization } from "../../shared/quantization/layout.js";
import type { RuntimeChoice } from "../../shared/runtimes/types.js";
import { loadPopulation } from "./load.js";

export interface CheckJob {
  /** Folder, GGUF file or hub id. */
  readonly model: string;
  readonly quantization: Quantization | "none";
  /** A client's folder or file of rows, a population file, or a folder or glob of clients. Absolute; a glob as `findClients` has it. */
  readonly data: string;
  readonly format: RowFormat;
  readonly maxTokens: number;
  readonly endOfText: EndOfText;
  readonly seed: number;
  readonly runtime: RuntimeChoice;
  /** @default that of a configuration */
  readonly epochs?: number;
  /** Rows per training step. @default that of a configuration */
  readonly batch?: number;
  /** Whether some steps are taken, for their time. */
  readonly timed: boolean;
}

/** A part of a row's text, and whether its tokens are scored. */
export interface MarkedText {
  readonly text: string;
  readonly scored: boolean;
}

export interface MarkedRow {
  /** `file:LINE` */
  readonly where: string;
  readonly tokens: number;
  readonly parts: readonly MarkedText[];
}

export interface ClientCheck extends DataFacts {
  readonly training: { readonly steps: number; readonly flops: number };
  /** What deserves a second look, one sentence each. */
  readonly notes: readonly string[];
}

export interface DataCheck {
  /** Longest row in tokens: what was asked for, at most the model's context. */
  readonly maxTokens: number;
  readonly clients: readonly ClientCheck[];
  /** Some training rows as the model gets them. */
  readonly examples: readonly MarkedRow[];
  /** Training one adapter on all rows: one client's share of a shared adapter, or all adapters of their own together. */
  readonly training: {
    readonly adapter: { readonly rank: number; readonly parameters: number };
    readonly epochs: number;
    readonly batch: number;
    readonly steps: number;
    readonly flops: number;
    /** On this machine, from some steps; null where none were taken. */
    readonly seconds: number | null;
  };
}

/**
 * Checks data.
 * @throws {KindredError} `not_found`, `invalid_data` naming `file:LINE`, `invalid_model`, and what opening a runtime throws
 */
export async function checkData(job: CheckJob, context: JobContext): Promise<DataCheck> {
  const clients = await clientsOf(job);
  const model = await openModel(job.model, { ...context, quantization: job.quantization });
  const { base } = model;
  const encoding = encodingOf(model, job, context.log);
  const { maxTokens } = encoding;
  const settings = settingsOf(job, base);
  const checks: ClientCheck[] = [];
  const train: EncodedRow[] = [];
  let examples: readonly MarkedRow[] = [];
  const stage = context.progress.stage("encode rows", clients.length);
  for (const rows of clients) {
    const whole = await encodeClient(rows, model.tokenizer, { ...encoding, maxTokens: Number.MAX_SAFE_INTEGER });
    const fits = SPLITS.every((split) => whole[split].every((row) => longestOf(row) <= maxTokens));
    const encoded = fits ? whole : await encodeClient(rows, model.tokenizer, encoding);
    const facts = factsOf(rows, encoded, whole);
    checks.push({ ...facts, training: trainingCost(base, encoded.train, settings), notes: notesOf(facts) });
    if (examples.length === 0) examples = await markedRows(rows.train, encoded.train, model);
    train.push(...encoded.train);
    stage.tick();
  }
  stage.done();
  return {
    maxTokens,
    clients: checks,
    examples,
    training: await wholeCost(
      checks,
      settings,
      job.timed ? () => timed(job, base, train, settings, context) : undefined,
    ),
  };
}

/** Tokens of a row with the longest of its choices. */
function longestOf({ tokens, choices }: EncodedRow): number {
  if (choices === undefined) return tokens.length;
  return choices.promptLength + Math.max(...choices.tokens.map(({ length }) => length));
}

/** Training as a run does it unless it is configured otherwise. */
function settingsOf({ epochs, batch, seed }: CheckJob, base: BaseModel): TrainingSettings {
  const { adapter, training } = runDefaults();
  const layout = adapterLayout(base, adapter) as LoraLayout; // the default is LoRA
  return { layout, epochs: epochs ?? training.epochs, batch: batch ?? training.batch, seed };
}

const timed = (
  { runtime }: CheckJob,
  base: BaseModel,
  rows: readonly EncodedRow[],
  settings: TrainingSettings,
  { signal }: JobContext,
): Promise<number> => secondsPerFlop(base, rows, settings, { runtime, signal });

/** @param measure gives seconds per operation */
async function wholeCost(
  checks: readonly ClientCheck[],
  { layout, epochs, batch }: TrainingSettings,
  measure: (() => Promise<number>) | undefined,
): Promise<DataCheck["training"]> {
  const sum = (of: (check: ClientCheck) => number): number => checks.reduce((total, check) => total + of(check), 0);
  const flops = sum(({ training }) => training.flops);
  return {
    adapter: { rank: layout.spec.rank, parameters: layout.trainedSize },
    epochs,
    batch,
    steps: sum(({ training }) => training.steps),
    flops,
    seconds: measure === undefined ? null : (await measure()) * flops,
  };
}

/** The first row, the longest one and one from the middle, each once. */
async function markedRows(
  rows: readonly Example[],
  encoded: readonly EncodedRow[],
  model: OpenedModel,
): Promise<MarkedRow[]> {
  const longest = encoded.reduce(
    (at, row, i) => (row.tokens.length > (encoded[at] as EncodedRow).tokens.length ? i : at),
    0,
  );
  const shown = [...new Set([0, Math.floor(rows.length / 2), longest])];
  const marked: MarkedRow[] = [];
  for (const at of shown) {
    const { tokens, scored } = encoded[at] as EncodedRow;
    const { where } = rows[at] as Example;
    marked.push({ where, tokens: tokens.length, parts: await markedParts(tokens, scored, model) });
  }
  return marked;
}

/** Text of runs of tokens that are scored, or are not. A run's text is what it adds to the text before it. */
async function markedParts(tokens: Int32Array, scored: Int32Array, { tokenizer }: OpenedModel): Promise<MarkedText[]> {
  const isScored = new Set(scored);
  const parts: MarkedText[] = [];
  let text = "";
  for (let at = 1; at <= tokens.length; at++) {
    if (at < tokens.length && isScored.has(at) === isScored.has(at - 1)) continue;
    const upTo = await tokenizer.decode(tokens.subarray(0, at));
    parts.push({ text: upTo.slice(text.length), scored: isScored.has(at - 1) });
    text = upTo;
  }
  return parts;
}

/** The clients of whatever the path is. */
async function clientsOf({ data, format, seed }: CheckJob): Promise<readonly ClientRows[]> {
  const found = await stat(data).catch(() => undefined);
  const one = found?.isDirectory() ? await hasTrainFile(data) : found?.isFile() && !(await isPopulationFile(data));
  if (!one) return (await loadPopulation(data, { seed, format })).clients;
  return [await loadClient(data, { name: basename(rowsStem(data) ?? data), seed, format })];
}
