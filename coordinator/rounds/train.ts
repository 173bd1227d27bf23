/**
 * Trains one adapter on some clients in federated rounds, and keeps the round that is best by the clients' pooled validation
 * loss. A training is named: the same name gives the stored result, also after a restart.
 */
import type { TunedSettings } from "../../shared/adapters/settings.js";
import { asKindredError } from "../../shared/base/errors.js";
import { SeededRng } from "../../shared/base/random.js";
import type { RunPlan } from "../../shared/config/config.js";
import type { MethodName } from "../../shared/config/enumerations.js";
import type { BlobRef, TunedSpec, WeightedAdapter } from "../../shared/wire/types.js";
import type { Evaluate } from "../../tasks/evaluate/message.js";
import type { ResultFor, TaskSpec } from "../../tasks/kinds.js";
import type { TrainAdapter, TrainAdapterResult, TrainingSpec } from "../../tasks/train-adapter/message.js";
import { eventLoopYield } from "../algebra/yield.js";
import type { EventSink } from "../events/events.js";
import type { Books } from "../run/books.js";
import type { Cohort, Request } from "../run/cohort.js";
import type { Journal } from "../run/journal.js";
import type { Round, Strategy } from "../strategies/strategy.js";
import type { TensorShapes } from "../strategies/tensors.js";
import { checkValues, freshStart, shapeError, specError } from "./check.js";
import { clientsOfRound, selectedClients } from "./participants.js";
import { endRound, NO_ROUND_YET, type RoundEnd } from "./round-end.js";
import { type RoundSchedule, roundSchedule } from "./schedule.js";
import { StoredTensors } from "./stored-tensors.js";
import { UpdateTransport } from "./transport.js";

/** What training needs of a run. */
export interface TrainingParts {
  readonly plan: Pick<RunPlan, "adapter" | "training" | "transport" | "seed">;
  readonly cohort: Cohort;
  readonly books: Books;
  readonly journal: Journal;
  readonly events: EventSink;
  /** Names and shapes of a whole adapter of a kind, once a training of several clients has shown them. */
  readonly shapes: Map<TunedSettings["kind"], TensorShapes>;
  /** Of every training of several clients. */
  readonly strategy: Strategy;
  readonly signal?: AbortSignal | undefined;
}

/** Has clients do a task of a training, and books it on the training's methods. */
async function ask<T extends TaskSpec>(
  ctx: TrainingParts,
  { stage, methods, book }: TrainingJob,
  request: Pick<Request<T>, "key" | "clients" | "taskOf">,
): Promise<ReadonlyMap<string, ResultFor<T>>> {
  const { results, charges } = await ctx.cohort.ask({ stage, ...request });
  ctx.books.charge(methods, book, charges);
  return results;
}

export interface TrainingJob {
  /** Names the training: part of the tasks' keys. */
  readonly name: string;
  readonly stage: string;
  /** Whose books the cost goes to. */
  readonly methods: readonly MethodName[];
  /** The stage under which they book it. */
  readonly book: string;
  readonly clients: readonly string[];
  readonly adapter: TunedSpec;
  readonly learningRate: number;
  /** Passes over each client's rows. @default the plan's */
  readonly epochs?: number;
  /** Fixed members that the new adapter is added to (boosting). */
  readonly offset?: readonly WeightedAdapter[];
  /** Take the validation loss of every round, to keep the best, instead of the end's alone. @default true */
  readonly validateRounds?: boolean;
  readonly onRound?: (round: number, of: number, validationLoss: number | undefined) => void;
}

export interface CurvePoint {
  /** Rounds done (steps, where one client trains alone). */
  readonly step: number;
  readonly trainLoss?: number;
  readonly validationLoss?: number;
}

export interface TrainedAdapter {
  /** All tensors of the best round; absent where no client gave an update. */
  readonly values: BlobRef | undefined;
  /** Pooled over the clients' validation rows, nats a token; infinity where nobody validated. */
  readonly validationLoss: number;
  /** What the start (the base, or the offset) had. */
  readonly startLoss: number;
  readonly unit: "round" | "step";
  readonly curve: readonly CurvePoint[];
}

interface Pooled {
  nllSum: number;
  tokens: number;
}

const lossOf = ({ nllSum, tokens }: Pooled): number => (tokens > 0 ? nllSum / tokens : Number.POSITIVE_INFINITY);

export async function trainFederated(ctx: TrainingParts, job: TrainingJob): Promise<TrainedAdapter> {
  return job.clients.length === 1 ? trainAlone(ctx, job) : trainTogether(ctx, job);
}

function trainingOf(
  ctx: TrainingParts,
  job: TrainingJob,
  totalSteps: number,
  firstStep: number,
  steps: number,
): TrainingSpec {
  const { weightDecay, warmup, batch, clipNorm } = ctx.plan.training;
  return {
    learningRate: job.learningRate,
    weightDecay,
    warmupSteps: Math.floor(warmup * totalSteps),
    totalSteps,
    firstStep,
    steps,
    batch,
    clipNorm,
    seed: ctx.plan.seed,
  };
}

function schedule(ctx: TrainingParts, job: TrainingJob) {
  const { epochs, batch, localSteps } = ctx.plan.training;
  const rows = job.clients.map((client) => ctx.cohort.info(client).rows.train);
  return roundSchedule({ rows, epochs: job.epochs ?? epochs, batch, localSteps });
}

/** One client: its whole schedule in one task, validated once a pass. */
async function trainAlone(ctx: TrainingParts, job: TrainingJob): Promise<TrainedAdapter> {
  const [client] = job.clients as [string];
  const totalSteps = schedule(ctx, job).totalSteps[0] as number;
  const every = Math.max(1, Math.ceil(ctx.cohort.info(client).rows.train / ctx.plan.training.batch));
  const task: TrainAdapter = {
    kind: "trainAdapter",
    adapter: job.adapter,
    offset: job.offset ?? [],
    training: trainingOf(ctx, job, totalSteps, 0, totalSteps),
    validateEvery: every,
    validateStart: true,
  };
  const results = await ask(ctx, job, { key: `train/${job.name}`, clients: [client], taskOf: () => task });
  const result = results.get(client);
  job.onRound?.(1, 1, undefined);
  if (result === undefined) return nothing("step");
  // It may become a member of everyone's ensemble: what is wrong with it must stay its client's own fault.
  const reason = await soloError(ctx, job, client, result.values, task.training);
  if (reason !== undefined) {
    ctx.cohort.fault(client, job.stage, reason);
    return nothing("step");
  }
  const curve = result.validation.map(({ step, nllSum, tokens }) => {
    const recent = result.losses.slice(Math.max(0, step - every), step);
    return {
      step,
      ...(recent.length > 0 ? { trainLoss: mean(recent) } : {}),
      validationLoss: nllSum / tokens,
    };
  });
  const losses = result.validation.map(lossOf);
  return {
    values: result.values,
    validationLoss: Math.min(...losses),
    startLoss: losses[0] ?? Number.POSITIVE_INFINITY,
    unit: "step",
    curve,
  };
}

/** Why a client's own adapter cannot be used. */
async function soloError(
  ctx: TrainingParts,
  { adapter }: TrainingJob,
  client: string,
  ref: BlobRef,
  training: TrainingSpec,
): Promise<string | undefined> {
  try {
    const values = await StoredTensors.open(ctx.cohort.blobs, ref, { source: `adapter of ${client}` });
    const expected = ctx.shapes.get(adapter.kind) ?? values.shapes;
    const wrong = specError(values.shapes, adapter) ?? shapeError(values.shapes, expected);
    if (wrong !== undefined) return wrong;
    const found = await checkValues({
      values,
      start: freshStart(values.shapes, adapter),
      steps: adapter.kind === "full" ? undefined : training,
      yieldToEventLoop: eventLoopYield(ctx.signal),
    });
    return "reason" in found ? found.reason : undefined;
  } catch (error) {
    const { code, message } = asKindredError(error);
    if (code !== "invalid_message" && code !== "invalid_adapter") throw error;
    return message;
  }
}

const nothing = (unit: "round" | "step"): TrainedAdapter => ({
  values: undefined,
  validationLoss: Number.POSITIVE_INFINITY,
  startLoss: Number.POSITIVE_INFINITY,
  unit,
  curve: [],
});

/** What the rounds of one training have in common. */
interface Training {
  readonly job: TrainingJob;
  readonly schedule: RoundSchedule;
  /** Place of each client in the schedule. */
  readonly places: ReadonlyMap<string, number>;
  readonly transport: UpdateTransport;
}

function trainingAt(ctx: TrainingParts, { job, schedule, places }: Training, client: string, round: number) {
  const place = places.get(client) as number;
  const { firstStep, steps } = schedule.localSteps(place, round);
  return trainingOf(ctx, job, schedule.totalSteps[place] as number, firstStep, steps);
}

/** What the strategy knows of a round. */
function roundOf(ctx: TrainingParts, { job, schedule, places }: Training, index: number): Round {
  return {
    training: job.name,
    index,
    count: schedule.rounds,
    clients: job.clients.map((name) => ({
      name,
      examples: ctx.cohort.info(name).rows.train,
      steps: schedule.localSteps(places.get(name) as number, index).steps,
    })),
    learningRate: job.learningRate,
    rng: (label) => new SeededRng(ctx.plan.seed, "strategy", job.name, index, label),
  };
}

/** What the clients of a round sent, and what its start is worth. */
interface RoundAnswers {
  readonly results: ReadonlyMap<string, TrainAdapterResult>;
  /** Of the round's start. */
  readonly pooled: Pooled;
}

async function askRound(ctx: TrainingParts, training: Training, round: Round, from: RoundEnd): Promise<RoundAnswers> {
  const { job, schedule } = training;
  const validates = (job.validateRounds ?? true) && schedule.validates(round.index);
  const { proximal = 0 } = ctx.strategy.client?.(round) ?? {};
  const terms = proximal > 0 ? { proximal } : {};
  const request: Pick<Request<TrainAdapter>, "key" | "taskOf"> = {
    key: `train/${job.name}/${round.index}`,
    taskOf: (client) => ({
      kind: "trainAdapter",
      adapter: job.adapter,
      ...(from.start === null ? {} : { start: from.start }),
      offset: job.offset ?? [],
      training: { ...trainingAt(ctx, training, client, round.index), ...terms },
      validateEvery: 0,
      validateStart: validates,
      ...training.transport.of(client, round.index, from.start !== null),
    }),
  };
  const selected = await selectedClients(ctx.journal, ctx.strategy, round);
  const clients = await clientsOfRound(ctx.journal, ctx.strategy, round, selected, (arrived, signal) => {
    const onDone = (client: string, result: unknown): void => arrived(client, result !== undefined);
    return ctx.cohort.ask({ stage: job.stage, ...request, clients: selected, onDone, signal });
  });
  const sittingOut = new Set(job.clients);
  for (const client of selected) sittingOut.delete(client);
  const [results, pooled] = await Promise.all([
    ask(ctx, job, { ...request, clients }),
    // Clients that sit the round out still have a say in which one is best.
    validates && from.full !== null
      ? validate(ctx, job, from.full, `validate/${job.name}/${round.index}`, [...sittingOut])
      : { nllSum: 0, tokens: 0 },
  ]);
  for (const { validation } of results.values()) {
    pooled.nllSum += validation[0]?.nllSum ?? 0;
    pooled.tokens += validation[0]?.tokens ?? 0;
  }
  return { results, pooled };
}

/** Folds a round's updates, once. */
async function closeRound(
  ctx: TrainingParts,
  training: Training,
  round: Round,
  before: RoundEnd,
  { results }: RoundAnswers,
) {
  const { adapter, name, stage } = training.job;
  const step = await ctx.journal.step(`round/${name}/${round.index}`, () =>
    endRound({
      blobs: ctx.cohort.blobs,
      strategy: ctx.strategy,
      round,
      adapter,
      before,
      expected: ctx.shapes.get(adapter.kind),
      signal: ctx.signal,
      updates: Array.from(results, ([client, { values, transforms }]) => ({
        client,
        examples: ctx.cohort.info(client).rows.train,
        values,
        transforms,
        steps: trainingAt(ctx, training, client, round.index),
      })),
    }),
  );
  for (const { client, reason } of step.rejected) ctx.cohort.fault(client, stage, reason);
  if (step.full !== null && !ctx.shapes.has(adapter.kind)) {
    ctx.shapes.set(adapter.kind, (await StoredTensors.open(ctx.cohort.blobs, step.full)).shapes);
  }
  return step;
}

async function trainTogether(ctx: TrainingParts, job: TrainingJob): Promise<TrainedAdapter> {
  const plan = schedule(ctx, job);
  const places = new Map(job.clients.map((client, at) => [client, at]));
  const transport = new UpdateTransport(job.name, ctx.plan.transport.compression);
  const training: Training = { job, schedule: plan, places, transport };
  const curve: CurvePoint[] = [];
  let end: RoundEnd = NO_ROUND_YET;
  let best: { loss: number; values: BlobRef | undefined } = { loss: Number.POSITIVE_INFINITY, values: undefined };
  let startLoss = Number.POSITIVE_INFINITY;
  let trainLoss: number | undefined;
  const record = (round: number, pooled: Pooled): void => {
    const validationLoss = lossOf(pooled);
    if (round === 0) startLoss = validationLoss;
    curve.push({
      step: round,
      ...(trainLoss === undefined ? {} : { trainLoss }),
      ...(Number.isFinite(validationLoss) ? { validationLoss } : {}),
    });
    // The first round's start is no adapter; a later one that is no better than the base is kept all the same.
    if (round > 0 && validationLoss < best.loss) best = { loss: validationLoss, values: end.full ?? undefined };
    job.onRound?.(round, plan.rounds, Number.isFinite(validationLoss) ? validationLoss : undefined);
  };
  for (let index = 0; index < plan.rounds; index++) {
    const round = roundOf(ctx, training, index);
    const answers = await askRound(ctx, training, round, end);
    const { results, pooled } = answers;
    record(index, pooled);
    const { rejected, ...next } = await closeRound(ctx, training, round, end, answers);
    training.transport.took(results.keys(), index, end.start !== null);
    end = next;
    const losses = [...results.values()].map((result) => mean(result.losses)).filter(Number.isFinite);
    trainLoss = losses.length > 0 ? mean(losses) : undefined;
    const validationLoss = lossOf(pooled);
    ctx.events.emit({
      type: "round-closed",
      training: job.name,
      round: index + 1,
      of: plan.rounds,
      accepted: results.size - rejected.length,
      rejected: rejected.length,
      ...(trainLoss === undefined ? {} : { trainLoss }),
      ...(Number.isFinite(validationLoss) ? { validationLoss } : {}),
    });
  }
  if (end.full === null) return nothing("round");
  record(plan.rounds, await validate(ctx, job, end.full, `train/${job.name}/validate`, job.clients));
  return {
    values: best.values ?? end.full,
    validationLoss: best.loss,
    startLoss,
    unit: "round",
    curve,
  };
}

async function validate(
  ctx: TrainingParts,
  job: TrainingJob,
  values: BlobRef,
  key: string,
  clients: readonly string[],
): Promise<Pooled> {
  const offset = job.offset ?? [];
  const task: Evaluate = {
    kind: "evaluate",
    adapter: job.adapter,
    members: [values, ...offset.map((member) => member.adapter)],
    mixtures: [[1, ...offset.map((member) => member.weight)]],
    split: "validation",
    examplesLimit: 0,
  };
  const results = await ask(ctx, job, { key, clients, taskOf: () => task });
  const pooled: Pooled = { nllSum: 0, tokens: 0 };
  for (const { scores } of results.values()) {
    pooled.nllSum += scores[0]?.nllSum ?? 0;
    pooled.tokens += scores[0]?.tokens ?? 0;
  }
  return pooled;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
