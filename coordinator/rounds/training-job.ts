/** A training of one adapter on some clients: what it needs, what it is told, what it gives. */
import type { TunedSettings } from "../../shared/adapters/settings.js";
import type { RunPlan } from "../../shared/config/config.js";
import type { MethodName } from "../../shared/config/enumerations.js";
import type { BlobRef, TunedSpec, WeightedAdapter } from "../../shared/wire/types.js";
import type { ResultFor, TaskSpec } from "../../tasks/kinds.js";
import type { TrainingSpec } from "../../tasks/train-adapter/message.js";
import type { EventInfo, EventSink } from "../events/events.js";
import type { Books } from "../run/books.js";
import type { Cohort, Request } from "../run/cohort.js";
import type { Journal } from "../run/journal.js";
import type { Retention } from "../run/retention.js";
import type { Strategy } from "../strategies/strategy.js";
import type { TensorShapes } from "../strategies/tensors.js";
import { roundSchedule } from "./schedule.js";

/** What training needs of a run. */
export interface TrainingParts {
  readonly plan: Pick<RunPlan, "adapter" | "training" | "transport" | "seed">;
  readonly cohort: Cohort;
  readonly books: Books;
  readonly journal: Journal;
  readonly events: EventSink;
  readonly retention: Retention;
  /** Names and shapes of a whole adapter of a kind, once a training of several clients has shown them. */
  readonly shapes: Map<TunedSettings["kind"], TensorShapes>;
  /** Of every training of several clients. */
  readonly strategy: Strategy;
  readonly signal?: AbortSignal | undefined;
}

/** Has clients do a task of a training, and books it on the training's methods. */
export async function ask<T extends TaskSpec>(
  ctx: TrainingParts,
  { stage, methods, book }: TrainingJob,
  request: Pick<Request<T>, "key" | "clients" | "taskOf" | "onDone" | "onShare" | "transient">,
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
  /** Told as the training goes on. @param share of it that is done, 0 .. 1. @param info its round and its last loss */
  readonly onProgress?: (share: number, info: EventInfo) => void;
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

export interface Pooled {
  nllSum: number;
  tokens: number;
}

export const lossOf = ({ nllSum, tokens }: Pooled): number => (tokens > 0 ? nllSum / tokens : Number.POSITIVE_INFINITY);

export function trainingOf(
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

export function schedule(ctx: TrainingParts, job: TrainingJob) {
  const { epochs, batch, localSteps } = ctx.plan.training;
  const rows = job.clients.map((client) => ctx.cohort.info(client).rows.train);
  return roundSchedule({ rows, epochs: job.epochs ?? epochs, batch, localSteps });
}

export const nothing = (unit: "round" | "step"): TrainedAdapter => ({
  values: undefined,
  validationLoss: Number.POSITIVE_INFINITY,
  startLoss: Number.POSITIVE_INFINITY,
  unit,
  curve: [],
});

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
