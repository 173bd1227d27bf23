/**
 * Trains one adapter on some clients in federated rounds, and keeps the round that is best by the clients' pooled validation
 * loss. A training is named: the same name gives the stored result, also after a restart.
 */
import { isWayDown } from "../../shared/adapters/bottleneck.js";
import { encodeSafetensors, parseSafetensors } from "../../shared/adapters/safetensors.js";
import type { TunedSettings } from "../../shared/adapters/settings.js";
import { asKindredError } from "../../shared/base/errors.js";
import type { NamedTensors } from "../../shared/base/tensors.js";
import type { RunPlan } from "../../shared/config/config.js";
import type { MethodName } from "../../shared/config/enumerations.js";
import type { BlobRef, TunedSpec, WeightedAdapter } from "../../shared/wire/types.js";
import type { Evaluate } from "../../tasks/evaluate/message.js";
import type { ResultFor, TaskSpec } from "../../tasks/kinds.js";
import type { TrainAdapter, TrainingSpec } from "../../tasks/train-adapter/message.js";
import type { EventSink } from "../events/events.js";
import type { Books } from "../run/books.js";
import type { Cohort, Request } from "../run/cohort.js";
import type { Journal } from "../run/journal.js";
import { type Aggregate, aggregate, type Update } from "./aggregate.js";
import { type AdapterShapes, shapeError, specError, updateBound } from "./check.js";
import { roundSchedule } from "./schedule.js";
import { MOMENTUM, meanSquare, type ServerPlan, type ServerState, serverStep } from "./server.js";

/** What training needs of a run. */
export interface TrainingParts {
  readonly plan: Pick<RunPlan, "adapter" | "training" | "seed">;
  readonly cohort: Cohort;
  readonly books: Books;
  readonly journal: Journal;
  readonly events: EventSink;
  /** Names and shapes of a whole adapter of a kind, once a training of several clients has shown them. */
  readonly shapes: Map<TunedSettings["kind"], AdapterShapes>;
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
  job: TrainingJob,
  client: string,
  values: BlobRef,
  training: TrainingSpec,
): Promise<string | undefined> {
  try {
    const { tensors } = parseSafetensors(await ctx.cohort.getBlob(values), { source: `adapter of ${client}` });
    return (
      specError(tensors, job.adapter) ??
      shapeError(tensors, ctx.shapes.get(job.adapter.kind) ?? tensors) ??
      (job.adapter.kind === "full" ? undefined : updateBound(tensors, freshStart(tensors, job), training))
    );
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

/** The state between two rounds, as the journal keeps it. */
interface RoundEnd {
  /** What travels: the trained tensors. */
  readonly start: BlobRef | null;
  /** All tensors, for members. */
  readonly full: BlobRef | null;
  /** What the server's optimiser remembers, its tensors as blobs. */
  readonly server: { readonly first: BlobRef; readonly second: BlobRef | null; readonly rounds: number } | null;
}

async function trainTogether(ctx: TrainingParts, job: TrainingJob): Promise<TrainedAdapter> {
  const plan = schedule(ctx, job);
  const curve: CurvePoint[] = [];
  let end: RoundEnd = { start: null, full: null, server: null };
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
    // The first round's start is no adapter; a later one that is no better than none is kept all the same.
    if (round > 0 && validationLoss < best.loss) best = { loss: validationLoss, values: end.full ?? undefined };
    job.onRound?.(round, plan.rounds, Number.isFinite(validationLoss) ? validationLoss : undefined);
  };
  for (let round = 0; round < plan.rounds; round++) {
    const { start, full } = end;
    const trainingAt = (client: string): TrainingSpec => {
      const at = job.clients.indexOf(client);
      const { firstStep, steps } = plan.localSteps(at, round);
      return trainingOf(ctx, job, plan.totalSteps[at] as number, firstStep, steps);
    };
    const validates = (job.validateRounds ?? true) && plan.validates(round);
    const working = job.clients.filter((client) => trainingAt(client).steps > 0);
    const [results, pooled] = await Promise.all([
      ask(ctx, job, {
        key: `train/${job.name}/${round}`,
        clients: working,
        taskOf: (client): TrainAdapter => ({
          kind: "trainAdapter",
          adapter: job.adapter,
          ...(start === null ? {} : { start }),
          offset: job.offset ?? [],
          training: trainingAt(client),
          validateEvery: 0,
          validateStart: validates,
        }),
      }),
      // Who sits the round out still has a say in which one is best.
      validates && full !== null
        ? validate(
            ctx,
            job,
            full,
            `validate/${job.name}/${round}`,
            job.clients.filter((client) => !working.includes(client)),
          )
        : { nllSum: 0, tokens: 0 },
    ]);
    for (const { validation } of results.values()) {
      pooled.nllSum += validation[0]?.nllSum ?? 0;
      pooled.tokens += validation[0]?.tokens ?? 0;
    }
    record(round, pooled);
    const before = end;
    const step = await ctx.journal.step(`round/${job.name}/${round}`, async () => {
      const start = before.start === null ? undefined : await tensorsOf(ctx, before.start);
      const updates: Update[] = [];
      const rejected: { client: string; reason: string }[] = [];
      for (const [client, { values }] of results) {
        try {
          const { tensors } = parseSafetensors(await ctx.cohort.getBlob(values), { source: `update of ${client}` });
          const reason =
            (start === undefined ? specError(tensors, job.adapter) : undefined) ??
            // A whole model starts from the base's weights, which the coordinator does not have.
            (start === undefined && job.adapter.kind === "full"
              ? undefined
              : updateBound(tensors, start ?? freshStart(tensors, job), trainingAt(client)));
          if (reason === undefined) updates.push({ client, examples: ctx.cohort.info(client).rows.train, tensors });
          else rejected.push({ client, reason });
        } catch (error) {
          rejected.push({ client, reason: asKindredError(error).message });
        }
      }
      const merged = aggregate(updates, start ?? ctx.shapes.get(job.adapter.kind));
      rejected.push(...merged.rejected);
      return { ...(await ended(ctx, job, before, start, merged)), rejected };
    });
    for (const { client, reason } of step.rejected) ctx.cohort.fault(client, job.stage, reason);
    end = { start: step.start, full: step.full, server: step.server };
    if (end.full !== null && !ctx.shapes.has(job.adapter.kind)) {
      ctx.shapes.set(job.adapter.kind, shapesOf(await tensorsOf(ctx, end.full)));
    }
    const losses = [...results.values()].map((result) => mean(result.losses)).filter(Number.isFinite);
    trainLoss = losses.length > 0 ? mean(losses) : undefined;
    const validationLoss = lossOf(pooled);
    ctx.events.emit({
      type: "round-closed",
      training: job.name,
      round: round + 1,
      of: plan.rounds,
      accepted: results.size - step.rejected.length,
      rejected: step.rejected.length,
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

/** What a fresh adapter draws from its seed, and what stays so where only the rest is trained. */
const isDrawn = (name: string): boolean => name.endsWith(".lora_A.weight") || isWayDown(name);

/** What clients without a start began with, as far as it is known: in an adapter, what is not drawn is zero. */
function freshStart(tensors: NamedTensors, { adapter }: TrainingJob): NamedTensors {
  if (adapter.kind === "full") return new Map();
  return new Map(
    [...tensors]
      .filter(([name]) => !isDrawn(name))
      .map(([name, { shape, data }]) => [name, { shape, data: new Float32Array(data.length) }]),
  );
}

/** Takes the server's step, and stores what travels next and, together with the frozen tensors, what a member is. */
async function ended(
  ctx: TrainingParts,
  job: TrainingJob,
  before: RoundEnd,
  known: NamedTensors | undefined,
  { mean, accepted }: Aggregate,
): Promise<RoundEnd> {
  if (accepted.length === 0) return before;
  const start = known ?? freshStart(mean, job);
  const { values, state } = serverStep(
    serverPlan(ctx, job),
    { start, mean, meanSquare: meanSquare(accepted, start), clients: accepted.length },
    before.server === null ? undefined : await serverState(ctx, before.server),
  );
  const full = before.full === null ? values : new Map([...(await tensorsOf(ctx, before.full)), ...values]);
  const travels = job.adapter.freezeA ? new Map([...full].filter(([name]) => !isDrawn(name))) : full;
  const store = (tensors: NamedTensors): Promise<BlobRef> => ctx.cohort.putBlob(encodeSafetensors(tensors));
  return {
    start: await store(travels),
    full: await store(full),
    server:
      state === undefined
        ? null
        : {
            first: await store(state.first),
            second: state.second === undefined ? null : await store(state.second),
            rounds: state.rounds,
          },
  };
}

async function serverState(
  ctx: TrainingParts,
  { first, second, rounds }: NonNullable<RoundEnd["server"]>,
): Promise<ServerState> {
  return {
    first: await tensorsOf(ctx, first),
    ...(second === null ? {} : { second: await tensorsOf(ctx, second) }),
    rounds,
  };
}

function serverPlan(ctx: TrainingParts, job: TrainingJob): ServerPlan {
  const { optimizer, learningRate, momentum } = ctx.plan.training.server;
  const adaptive = optimizer === "fedadam" || optimizer === "fedyogi";
  return {
    optimizer,
    // An adaptive server moves a coordinate by its rate a round, as a client's AdamW does a step.
    learningRate: learningRate === "auto" ? (adaptive ? job.learningRate : 1) : learningRate,
    momentum: momentum === "auto" ? MOMENTUM[optimizer] : momentum,
  };
}

async function tensorsOf(ctx: TrainingParts, ref: BlobRef): Promise<NamedTensors> {
  return parseSafetensors(await ctx.cohort.getBlob(ref)).tensors;
}

/** Without the values, which may be those of a whole model. */
const shapesOf = (tensors: NamedTensors): AdapterShapes =>
  new Map(Array.from(tensors, ([name, { shape }]) => [name, { shape }]));

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
