/**
 * Tasks and results between protobuf messages and plain values (shared/wire/tasks.ts). Decoding checks every range that
 * proto/kindred/v1/work.proto documents; what it returns needs no further check of its numbers. It knows no transport.
 */
import { BOTTLENECK_ACTIVATIONS, BOTTLENECK_KINDS, FULL } from "../adapters/settings.js";
import { type AnswerPrefix, compareAnswerPrefixes, MOST_TOKENS } from "../sketch/answer-prefixes.js";
import { MOST_NEGATIVES, MOST_NUMBERS, MOST_PROJECTIONS } from "../sketch/types.js";
import { blobRef, finite, hash, list, present, refuse, share, text, uint53, whole } from "./checks.js";
import type { AdapterSpec as AdapterMessage, AdapterSpec__Output } from "./gen/kindred/v1/AdapterSpec.js";
import type { AnswerPrefixes__Output } from "./gen/kindred/v1/AnswerPrefixes.js";
import type { BlobRef__Output, BlobRef as BlobRefMessage } from "./gen/kindred/v1/BlobRef.js";
import type { Cost__Output } from "./gen/kindred/v1/Cost.js";
import type { Score__Output, Score as ScoreMessage } from "./gen/kindred/v1/Score.js";
import type { Task__Output, Task as TaskMessage } from "./gen/kindred/v1/Task.js";
import type { TaskResult__Output, TaskResult as TaskResultMessage } from "./gen/kindred/v1/TaskResult.js";
import type { TrainAdapter__Output } from "./gen/kindred/v1/TrainAdapter.js";
import type { TrainingSpec__Output } from "./gen/kindred/v1/TrainingSpec.js";
import type { TrainResult__Output } from "./gen/kindred/v1/TrainResult.js";
import {
  MAX_BATCH,
  MAX_CHOICE_TOKENS,
  MAX_MEMBER_NAME_LENGTH,
  MAX_MEMBERS,
  MAX_MIXTURE_WEIGHTS,
  MAX_MIXTURES,
  MAX_MODULES,
  MAX_NAME_LENGTH,
  MAX_RANK,
  MAX_STEPS,
} from "./limits.js";
import {
  type AdapterSpec,
  type BlobRef,
  type Score,
  type SketchGradients,
  type SplitName,
  sketchWidth,
  type TaskCost,
  type TaskResult,
  type TaskSpec,
  type TrainAdapter,
  type TrainingSpec,
  type TrainResult,
  type TunedSpec,
  weightAlternatives,
} from "./tasks.js";

const UINT32 = 4_294_967_295;
/** Largest token id: runtimes index by int32. */
const INT32 = 2 ** 31 - 1;

const SPLITS = { train: "SPLIT_TRAIN", validation: "SPLIT_VALIDATION", test: "SPLIT_TEST" } as const;

// ---- encoding -------------------------------------------------------------------------------------------------------

export function encodeBlobRef(ref: BlobRef): BlobRefMessage {
  return { sha256: ref.sha256, size: String(ref.size) };
}

function encodeAdapter(adapter: TunedSpec): AdapterMessage {
  const modules = adapter.kind === "lora" ? { modules: [...adapter.modules] } : {};
  return { ...adapter, ...modules, initSeed: String(adapter.initSeed) } as AdapterMessage;
}

const encodeAnswerPrefixes = (answerPrefixes: readonly AnswerPrefix[]) => ({
  lengths: answerPrefixes.map(({ length }) => length),
  tokens: answerPrefixes.flat(),
});

export function encodeTask(taskId: string, task: TaskSpec): TaskMessage {
  const adapter = encodeAdapter(task.adapter);
  switch (task.kind) {
    case "sketchGradients":
      return {
        taskId,
        sketchGradients: {
          adapter,
          start: task.start ? encodeBlobRef(task.start) : null,
          dim: task.dim,
          seed: String(task.seed),
          examplesLimit: task.examplesLimit,
          negatives: task.negatives,
          otherClientAnswers: task.otherClientAnswers.map(encodeAnswerPrefixes),
          otherClientAnswersLimit: task.otherClientAnswersLimit,
          labels: task.labels,
          projections: task.projections,
        },
      };
    case "listChoices":
      return { taskId, listChoices: { adapter } };
    case "trainAdapter":
      return {
        taskId,
        trainAdapter: {
          adapter,
          start: task.start ? encodeBlobRef(task.start) : null,
          offset: task.offset.map((member) => ({ adapter: encodeBlobRef(member.adapter), weight: member.weight })),
          training: { ...task.training, seed: String(task.training.seed) },
          validateEvery: task.validateEvery,
          validateStart: task.validateStart,
        },
      };
    case "evaluate":
      return {
        taskId,
        evaluate: {
          adapter,
          members: task.members.map(encodeBlobRef),
          mixtures: task.mixtures.map((weights) => ({ weights: [...weights] })),
          split: SPLITS[task.split],
          examplesLimit: task.examplesLimit,
        },
      };
    case "fitWeights":
      return {
        taskId,
        fitWeights: {
          adapter,
          members: task.members.map(encodeBlobRef),
          prior: [...task.prior],
          strength: task.strength,
        },
      };
    case "receiveEnsemble":
      return {
        taskId,
        receiveEnsemble: {
          adapter,
          members: task.members.map((member) => ({ ...member, adapter: encodeBlobRef(member.adapter) })),
        },
      };
  }
}

function encodeScore(score: Score): ScoreMessage {
  return { ...score, tokens: String(score.tokens) };
}

export function encodeResult(taskId: string, result: TaskResult): TaskResultMessage {
  const cost = { ...result.cost, peakRssBytes: String(result.cost.peakRssBytes) };
  switch (result.kind) {
    case "sketchGradients":
      return {
        taskId,
        cost,
        sketchGradients: { rows: encodeBlobRef(result.rows), trainExamples: result.trainExamples },
      };
    case "trainAdapter":
      return {
        taskId,
        cost,
        trainAdapter: {
          values: encodeBlobRef(result.values),
          losses: [...result.losses],
          examples: result.examples,
          ...(result.bestStep === undefined ? {} : { bestStep: result.bestStep }),
          validation: result.validation.map((point) => ({ ...point, tokens: String(point.tokens) })),
        },
      };
    case "listChoices":
      return { taskId, cost, listChoices: { answerPrefixes: encodeAnswerPrefixes(result.answerPrefixes) } };
    case "evaluate":
      return { taskId, cost, evaluate: { scores: result.scores.map(encodeScore) } };
    case "fitWeights":
      return {
        taskId,
        cost,
        fitWeights: {
          weights: [...result.weights],
          tokens: String(result.tokens),
          nllSums: [...result.nllSums],
        },
      };
    case "receiveEnsemble":
      return { taskId, cost, receiveEnsemble: {} };
  }
}

// ---- decoding -------------------------------------------------------------------------------------------------------

function decodeAdapter(field: string, message: AdapterSpec__Output | null): AdapterSpec {
  const spec = decodeTuned(field, message);
  return spec.kind === "full" ? refuse(`${field}.kind`, ADAPTER_KINDS, spec.kind) : spec;
}

const ADAPTER_KINDS = ["lora", ...BOTTLENECK_KINDS].join(", ");

function decodeTuned(field: string, message: AdapterSpec__Output | null): TunedSpec {
  const m = present(field, message);
  if (!(m.dropout >= 0 && m.dropout < 1)) refuse(`${field}.dropout`, "at least 0 and below 1", m.dropout);
  const common = { dropout: m.dropout, initSeed: uint53(`${field}.init_seed`, m.initSeed), freezeA: m.freezeA };
  /** What other kinds have. */
  const absent = <T extends number | string | boolean>(name: string, value: T, none: T): void => {
    if (value !== none) refuse(`${field}.${name}`, `${JSON.stringify(none)} for kind ${m.kind}`, value);
  };
  const bottleneck = BOTTLENECK_KINDS.find((kind) => kind === m.kind);
  if (bottleneck !== undefined) {
    absent("rank", m.rank, 0);
    absent("alpha", m.alpha, 0);
    absent("rslora", m.rslora, false);
    absent("length of modules", m.modules.length, 0);
    const activation = BOTTLENECK_ACTIVATIONS.find((name) => name === m.activation);
    return {
      kind: bottleneck,
      reduction: finite(`${field}.reduction`, m.reduction, 1),
      activation: activation ?? refuse(`${field}.activation`, BOTTLENECK_ACTIVATIONS.join(", "), m.activation),
      ...common,
    };
  }
  absent("reduction", m.reduction, 0);
  absent("activation", m.activation, "");
  if (m.kind === FULL.kind) {
    absent("rank", m.rank, 0);
    absent("alpha", m.alpha, 0);
    absent("rslora", m.rslora, false);
    absent("length of modules", m.modules.length, 0);
    absent("dropout", m.dropout, FULL.dropout);
    absent("freeze_a", m.freezeA, FULL.freezeA);
    return { ...FULL, initSeed: common.initSeed };
  }
  if (m.kind !== "lora") refuse(`${field}.kind`, `${ADAPTER_KINDS}, ${FULL.kind}`, m.kind);
  const modules = list(`${field}.modules`, m.modules, 0, MAX_MODULES, (name, value) =>
    text(name, value, 1, MAX_NAME_LENGTH),
  );
  if (new Set(modules).size !== modules.length) refuse(`${field}.modules`, "without repetition", modules.join(", "));
  return {
    kind: "lora",
    rank: whole(`${field}.rank`, m.rank, 1, MAX_RANK),
    alpha: finite(`${field}.alpha`, m.alpha, 0, true),
    modules,
    ...common,
    rslora: m.rslora,
  };
}

function decodeTraining(field: string, message: TrainingSpec__Output | null): TrainingSpec {
  const m = present(field, message);
  const totalSteps = whole(`${field}.total_steps`, m.totalSteps, 1, UINT32);
  return {
    learningRate: finite(`${field}.learning_rate`, m.learningRate, 0, true),
    weightDecay: finite(`${field}.weight_decay`, m.weightDecay, 0),
    warmupSteps: m.warmupSteps,
    totalSteps,
    firstStep: whole(`${field}.first_step`, m.firstStep, 0, totalSteps),
    steps: whole(`${field}.steps`, m.steps, 1, MAX_STEPS),
    batch: whole(`${field}.batch`, m.batch, 1, MAX_BATCH),
    clipNorm: finite(`${field}.clip_norm`, m.clipNorm, 0),
    seed: uint53(`${field}.seed`, m.seed),
  };
}

function decodeMembers(field: string, members: readonly BlobRef__Output[], min: number): BlobRef[] {
  return list(field, members, min, MAX_MEMBERS, (name, ref) => blobRef(name, ref));
}

function decodeTrain(m: TrainAdapter__Output): TrainAdapter {
  return {
    kind: "trainAdapter",
    adapter: decodeTuned("train_adapter.adapter", m.adapter),
    ...(m.start ? { start: blobRef("train_adapter.start", m.start) } : {}),
    offset: list("train_adapter.offset", m.offset, 0, MAX_MEMBERS, (name, member) => ({
      adapter: blobRef(`${name}.adapter`, member.adapter),
      weight: finite(`${name}.weight`, member.weight),
    })),
    training: decodeTraining("train_adapter.training", m.training),
    validateEvery: m.validateEvery,
    validateStart: m.validateStart,
  };
}

function decodeSplit(field: string, value: string): SplitName {
  for (const name of ["train", "validation", "test"] as const) if (SPLITS[name] === value) return name;
  return refuse(field, Object.values(SPLITS).join(", "), value);
}

/** @throws {KindredError} `invalid_message` naming the field */
export function decodeTask(message: Task__Output): { taskId: string; task: TaskSpec } {
  const taskId = hash("task_id", message.taskId);
  if (message.sketchGradients) {
    const m = message.sketchGradients;
    const task: SketchGradients = {
      kind: "sketchGradients",
      adapter: decodeAdapter("sketch_gradients.adapter", m.adapter),
      ...(m.start ? { start: blobRef("sketch_gradients.start", m.start) } : {}),
      dim: whole("sketch_gradients.dim", m.dim, 1, MOST_NUMBERS),
      projections: whole("sketch_gradients.projections", m.projections, 1, MOST_PROJECTIONS),
      seed: uint53("sketch_gradients.seed", m.seed),
      examplesLimit: m.examplesLimit,
      negatives: whole("sketch_gradients.negatives", m.negatives, 0, MOST_NEGATIVES),
      otherClientAnswers: decodeOtherClientAnswers("sketch_gradients.other_client_answers", m.otherClientAnswers),
      otherClientAnswersLimit: whole(
        "sketch_gradients.other_client_answers_limit",
        m.otherClientAnswersLimit,
        0,
        MOST_NEGATIVES - 1,
      ),
      labels: m.labels,
    };
    whole("sketch_gradients.dim x projections", sketchWidth(task), 1, MOST_NUMBERS);
    return { taskId, task };
  }
  if (message.listChoices) {
    return {
      taskId,
      task: { kind: "listChoices", adapter: decodeAdapter("list_choices.adapter", message.listChoices.adapter) },
    };
  }
  if (message.trainAdapter) return { taskId, task: decodeTrain(message.trainAdapter) };
  if (message.evaluate) {
    const m = message.evaluate;
    const members = decodeMembers("evaluate.members", m.members, 0);
    if (m.mixtures.length * members.length > MAX_MIXTURE_WEIGHTS) {
      refuse("evaluate.mixtures times members", `at most ${MAX_MIXTURE_WEIGHTS}`, m.mixtures.length * members.length);
    }
    const mixtures = list("evaluate.mixtures", m.mixtures, 1, MAX_MIXTURES, (name, mixture) => {
      if (mixture.weights.length !== 0 && mixture.weights.length !== members.length) {
        refuse(`length of ${name}.weights`, `0 or the number of members, ${members.length}`, mixture.weights.length);
      }
      return mixture.weights.map((weight, i) => finite(`${name}.weights[${i}]`, weight));
    });
    const task: TaskSpec = {
      kind: "evaluate",
      adapter: decodeTuned("evaluate.adapter", m.adapter),
      members,
      mixtures,
      split: decodeSplit("evaluate.split", m.split),
      examplesLimit: m.examplesLimit,
    };
    return { taskId, task };
  }
  if (message.fitWeights) {
    const m = message.fitWeights;
    const members = decodeMembers("fit_weights.members", m.members, 1);
    const task: TaskSpec = {
      kind: "fitWeights",
      adapter: decodeAdapter("fit_weights.adapter", m.adapter),
      members,
      prior: list("fit_weights.prior", m.prior, members.length, members.length, (name, value) =>
        finite(name, value, 0),
      ),
      strength: finite("fit_weights.strength", m.strength, 0),
    };
    return { taskId, task };
  }
  if (message.receiveEnsemble) {
    const m = message.receiveEnsemble;
    const members = list("receive_ensemble.members", m.members, 1, MAX_MEMBERS, (name, member) => ({
      name: memberName(`${name}.name`, member.name),
      adapter: blobRef(`${name}.adapter`, member.adapter),
      weight: finite(`${name}.weight`, member.weight, 0),
    }));
    const adapter = decodeAdapter("receive_ensemble.adapter", m.adapter);
    return { taskId, task: { kind: "receiveEnsemble", adapter, members } };
  }
  return refuse("work", "one of the kinds in proto/kindred/v1/tasks.proto", "nothing");
}

/** Each once, ascending. */
function decodeAnswerPrefixes(field: string, message: AnswerPrefixes__Output | null): AnswerPrefix[] {
  const { lengths, tokens } = present(field, message);
  const ids = list(`${field}.tokens`, tokens, 0, MAX_CHOICE_TOKENS, (name, token) => whole(name, token, 0, INT32));
  let at = 0;
  let last: AnswerPrefix = [];
  const answerPrefixes = list(`${field}.lengths`, lengths, 0, ids.length, (name, length) => {
    whole(name, length, 1, ids.length - at);
    const prefix = ids.slice(at, at + length);
    if (compareAnswerPrefixes(last, prefix) >= 0) refuse(name, "of a prefix behind the one before", length);
    at += length;
    last = prefix;
    return prefix;
  });
  return at === ids.length ? answerPrefixes : refuse(`sum of ${field}.lengths`, `${ids.length} tokens`, at);
}

function decodeOtherClientAnswers(field: string, sets: readonly AnswerPrefixes__Output[]): AnswerPrefix[][] {
  const tokens = sets.reduce((sum, set) => sum + set.tokens.length, 0);
  if (tokens > MOST_TOKENS) refuse(`tokens of ${field}`, `at most ${MOST_TOKENS}`, tokens);
  return list(field, sets, 0, MOST_TOKENS, decodeAnswerPrefixes);
}

/** A name that a client uses for a folder: nothing that leads elsewhere. */
function memberName(field: string, value: string): string {
  const name = text(field, value, 1, MAX_MEMBER_NAME_LENGTH);
  return /^\w[\w.-]*$/.test(name) ? name : refuse(field, "letters, digits, dots, hyphens and underscores", name);
}

function decodeCost(message: Cost__Output | null): TaskCost {
  if (!message) return { flops: 0, computeSeconds: 0, peakRssBytes: 0 };
  return {
    flops: finite("cost.flops", message.flops, 0),
    computeSeconds: finite("cost.compute_seconds", message.computeSeconds, 0),
    peakRssBytes: uint53("cost.peak_rss_bytes", message.peakRssBytes),
  };
}

/** A loss over no tokens would be no number. */
function positive(field: string, value: number | string): number {
  const count = uint53(field, value);
  return count > 0 ? count : refuse(field, "at least 1", count);
}

function decodeScore(field: string, message: Score__Output | null): Score {
  const m = present(field, message);
  const choiceRows = whole(`${field}.choice_rows`, m.choiceRows, 0, m.examples);
  return {
    nllSum: finite(`${field}.nll_sum`, m.nllSum),
    tokens: positive(`${field}.tokens`, m.tokens),
    correct: whole(`${field}.correct`, m.correct, 0, choiceRows),
    choiceRows,
    examples: m.examples,
    ...(m._macroF1 === undefined || m.macroF1 === undefined ? {} : { macroF1: share(`${field}.macro_f1`, m.macroF1) }),
  };
}

function decodeTrainResult(m: TrainResult__Output, cost: TaskCost): TrainResult<BlobRef> {
  return {
    kind: "trainAdapter",
    values: blobRef("train_adapter.values", m.values),
    losses: list("train_adapter.losses", m.losses, 0, MAX_STEPS, (name, loss) => finite(name, loss)),
    examples: m.examples,
    ...(m._bestStep === undefined || m.bestStep === undefined ? {} : { bestStep: m.bestStep }),
    validation: list("train_adapter.validation", m.validation, 0, MAX_STEPS + 1, (name, point) => ({
      step: point.step,
      nllSum: finite(`${name}.nll_sum`, point.nllSum),
      tokens: positive(`${name}.tokens`, point.tokens),
    })),
    cost,
  };
}

/** @throws {KindredError} `invalid_message` naming the field */
export function decodeResult(message: TaskResult__Output): TaskResult {
  const cost = decodeCost(message.cost);
  if (message.sketchGradients) {
    const m = message.sketchGradients;
    return {
      kind: "sketchGradients",
      rows: blobRef("sketch_gradients.rows", m.rows),
      trainExamples: m.trainExamples,
      cost,
    };
  }
  if (message.listChoices)
    return {
      kind: "listChoices",
      answerPrefixes: decodeAnswerPrefixes("list_choices.answerPrefixes", message.listChoices.answerPrefixes),
      cost,
    };
  if (message.trainAdapter) return decodeTrainResult(message.trainAdapter, cost);
  if (message.evaluate) {
    const scores = list("evaluate.scores", message.evaluate.scores, 1, MAX_MIXTURES, decodeScore);
    return { kind: "evaluate", scores, cost };
  }
  if (message.fitWeights) {
    const m = message.fitWeights;
    return {
      kind: "fitWeights",
      weights: list("fit_weights.weights", m.weights, 1, MAX_MEMBERS, (name, value) => finite(name, value, 0)),
      tokens: whole("fit_weights.tokens", m.tokens, 1, Number.MAX_SAFE_INTEGER),
      nllSums: list("fit_weights.nll_sums", m.nllSums, 1, MAX_MEMBERS + 3, (name, value) => finite(name, value, 0)),
      cost,
    };
  }
  if (message.receiveEnsemble) return { kind: "receiveEnsemble", cost };
  return refuse("outcome", "one of the kinds in proto/kindred/v1/tasks.proto", "nothing");
}

/** Does the result answer this task? @throws {KindredError} `invalid_message` saying what does not fit */
export function checkAnswers(task: TaskSpec, result: TaskResult): void {
  if (task.kind !== result.kind) refuse("outcome", `of the task's kind, ${task.kind}`, result.kind);
  const counts = (field: string, got: number, need: number) => {
    if (got !== need) refuse(`length of ${field}`, String(need), got);
  };
  if (task.kind === "evaluate" && result.kind === "evaluate") {
    counts("evaluate.scores", result.scores.length, task.mixtures.length);
  }
  if (task.kind === "fitWeights" && result.kind === "fitWeights") {
    counts("fit_weights.weights", result.weights.length, task.members.length);
    counts("fit_weights.nll_sums", result.nllSums.length, weightAlternatives(result.weights, task.prior).length);
  }
  if (task.kind === "trainAdapter" && result.kind === "trainAdapter") {
    const { steps } = task.training;
    if (result.losses.length > steps)
      refuse("length of train_adapter.losses", `at most ${steps}`, result.losses.length);
    if ((result.bestStep ?? 0) > steps) refuse("train_adapter.best_step", `at most ${steps}`, result.bestStep);
    let last = -1;
    for (const { step } of result.validation) {
      if (step <= last || step > steps) refuse("train_adapter.validation", `in ascending order up to ${steps}`, step);
      last = step;
    }
  }
}
