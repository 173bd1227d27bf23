/**
 * `kindred predict`: what a model answers to rows, with an adapter, with a client's ensemble, or by itself. Rows with
 * choices get each choice's likelihood, others are continued.
 */
import { readEnsemble } from "../../shared/adapters/ensemble-folder.js";
import type { JobContext } from "../../shared/base/command.js";
import { KindredError } from "../../shared/base/errors.js";
import type { EndOfText } from "../../shared/config/enumerations.js";
import type { RowFormat } from "../../shared/config/format.js";
import type { Quantization } from "../../shared/quantization/layout.js";
import { openRuntime } from "../../shared/runtimes/choose.js";
import type { RuntimeChoice } from "../../shared/runtimes/types.js";
import { type QuestionWithChoices, RowEncoder } from "../data/encode.js";
import { readQuestions } from "../data/readers.js";
import type { Question } from "../data/types.js";
import type { BaseModel } from "../models/base.js";
import { endTokens } from "../models/ends.js";
import { openModel } from "../models/open.js";
import type { ModelTokenizer } from "../models/tokenizer.js";
import type { AdapterLayout, AdapterValues } from "../tuning/adapter.js";
import { CompiledGraphs, Meter } from "../tuning/compiled-graphs.js";
import { type Continuation, generate } from "../tuning/generation.js";
import { smallestLayout } from "../tuning/kinds.js";
import { budgetOf } from "../tuning/memory.js";
import type { SamplingPlan } from "../tuning/sampling.js";
import { choiceNlls, likeliest } from "../tuning/scoring.js";
import { encodingOf, warnOfTruncation } from "./encoding.js";
import { openAdapter } from "./inputs.js";

export interface PredictJob {
  /** Folder or hub id. */
  readonly model: string;
  /** Form of the base model's linears. */
  readonly quantization: Quantization | "none";
  /** Folder of an adapter, or one client's part in an exported ensemble; the base model alone unless given. */
  readonly tuned?: { readonly adapter: string } | { readonly ensemble: string; readonly client: string };
  /** File of rows. */
  readonly data: string;
  readonly format: RowFormat;
  /** Longest row in tokens, its answer included. */
  readonly maxTokens: number;
  readonly endOfText: EndOfText;
  /** Of an answer that is written. */
  readonly maxNewTokens: number;
  readonly sampling: SamplingPlan;
  readonly seed: number;
  readonly runtime: RuntimeChoice;
}

export interface ChoicePrediction {
  /** `file:LINE` of the row. */
  readonly row: string;
  readonly predicted: string;
  /** Whether that is the row's own completion; absent where it has none. */
  readonly right?: boolean;
  readonly choices: readonly {
    readonly completion: string;
    /** Nats, over all its tokens. */
    readonly logLikelihood: number;
    /** Among the choices. */
    readonly probability: number;
  }[];
}

export interface TextPrediction {
  /** `file:LINE` of the row. */
  readonly row: string;
  /** What follows the prompt. */
  readonly text: string;
  /** Its length in tokens. */
  readonly tokens: number;
  /** True where the model ended it, false where `maxNewTokens` did. */
  readonly ended: boolean;
}

export type Prediction = ChoicePrediction | TextPrediction;

/** The adapters to run and how their logits are mixed. */
interface Tuned {
  readonly layout: AdapterLayout;
  readonly members: readonly AdapterValues[];
  readonly weights: readonly number[];
}

/**
 * One prediction a row, in the file's order.
 * @throws {KindredError} what reading a model, rows or adapters throws; `cancelled` once the signal is aborted
 */
export async function predict(job: PredictJob, context: JobContext): Promise<Prediction[]> {
  const questions = await readQuestions(job.data, job.format);
  const model = await openModel(job.model, { ...context, quantization: job.quantization });
  const { base, tokenizer } = model;
  const tuned = await openTuned(base, job.tuned);
  const encoding = encodingOf(model, job, context.log);
  const encoder = new RowEncoder(tokenizer, encoding);
  const asked = { choices: [] as QuestionWithChoices[], text: [] as Question[] };
  for (const question of questions) {
    if (hasChoices(question)) asked.choices.push(question);
    else asked.text.push(question);
  }
  const rows = await encoder.encodeChoices(asked.choices);
  const prompts = await encoder.encodePrompts(asked.text, job.maxNewTokens);
  warnOfTruncation(encoder, questions.length, encoding, context.log);
  const ends = new Set([...(await endTokens(base)), ...(model.endOfText === undefined ? [] : [model.endOfText])]);
  const runtime = await openRuntime(job.runtime);
  const compiledGraphs = new CompiledGraphs(
    runtime,
    base,
    budgetOf(job.runtime.memory, base, context.log, { trains: false }),
  );
  const meter = new Meter(context.signal);
  const stage = context.progress.stage("predict", questions.length);
  const tick = (count: number): void => stage.tick(count);
  const { layout, members, weights } = tuned;
  try {
    const made = new Map<Question, Prediction>();
    if (rows.length > 0) {
      const nameOf = (row: number): string => asked.choices[row]!.where;
      const scoring = { meter, onBatch: tick, nameOf };
      const nlls = await choiceNlls(compiledGraphs, { layout, members }, weights, rows, scoring);
      asked.choices.forEach((question, i) => void made.set(question, choicePrediction(question, nlls[i]!)));
    }
    if (prompts.length > 0) {
      const { sampling, maxNewTokens, seed } = job;
      const plan = { ...sampling, maxNewTokens, ends, seed };
      const texts = await generate(compiledGraphs, { layout, members, weights }, prompts, plan, {
        meter,
        onRows: tick,
        nameOf: (prompt) => asked.text[prompt]!.where,
      });
      for (const [i, question] of asked.text.entries()) {
        made.set(question, await textPrediction(question.where, tokenizer, prompts[i]!, texts[i]!));
      }
    }
    stage.done();
    return questions.map((question) => made.get(question)!);
  } finally {
    stage.drop();
    await runtime.close();
  }
}

function hasChoices(question: Question): question is QuestionWithChoices {
  return question.choices !== undefined;
}

/** @throws {KindredError} `invalid_adapter` where members differ in more than their values, or do not fit the base */
async function openTuned({ architecture }: BaseModel, tuned: PredictJob["tuned"]): Promise<Tuned> {
  if (tuned === undefined) {
    return { layout: smallestLayout(architecture), members: [], weights: [] };
  }
  if ("adapter" in tuned) {
    const { layout, values } = await openAdapter(architecture, tuned.adapter);
    return { layout, members: [values], weights: [1] };
  }
  const { members, weights } = await readEnsemble(tuned.ensemble, tuned.client);
  const opened = [];
  for (const folder of members) opened.push(await openAdapter(architecture, folder));
  const { layout } = opened[0]!;
  const other = opened.findIndex((member) => JSON.stringify(member.layout.spec) !== JSON.stringify(layout.spec));
  if (other >= 0) {
    throw new KindredError(
      "invalid_adapter",
      `${members[other]}: differs from ${members[0]} in more than its values (kind, rank, alpha, modules, reduction, activation); the members of an ensemble share them`,
    );
  }
  return { layout, members: opened.map(({ values }) => values), weights };
}

function choicePrediction({ where, choices, completion }: QuestionWithChoices, nlls: Float64Array): ChoicePrediction {
  const best = likeliest(nlls);
  const odds = nlls.map((nll) => Math.exp((nlls[best] as number) - nll));
  const all = odds.reduce((sum, x) => sum + x, 0);
  const predicted = choices[best] as string;
  return {
    row: where,
    predicted,
    ...(completion === undefined ? {} : { right: predicted === completion }),
    choices: choices.map((choice, i) => ({
      completion: choice,
      logLikelihood: -(nlls[i] as number),
      probability: (odds[i] as number) / all,
    })),
  };
}

async function textPrediction(
  row: string,
  tokenizer: ModelTokenizer,
  prompt: Int32Array,
  { tokens, ended }: Continuation,
): Promise<TextPrediction> {
  // Decoded together: a text's first token may lose its leading space, which a continuation's must not.
  const before = await tokenizer.decode(prompt);
  const whole = await tokenizer.decode([...prompt, ...tokens]);
  const text = whole.startsWith(before) ? whole.slice(before.length) : await tokenizer.decode(tokens);
  return { row, text, tokens: tokens.length, ended };
}
