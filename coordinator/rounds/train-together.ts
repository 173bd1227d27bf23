/** Several clients train together, in rounds. The round that is best by their pooled validation loss is kept. */
import { KindredError } from "../../shared/base/errors.js";
import { SeededRng } from "../../shared/base/random.js";
import type { BlobRef } from "../../shared/wire/types.js";
import type { Evaluate } from "../../tasks/evaluate/message.js";
import type { TrainAdapter, TrainAdapterResult } from "../../tasks/train-adapter/message.js";
import { lossFact } from "../events/events.js";
import type { Request } from "../run/cohort.js";
import type { Round } from "../strategies/strategy.js";
import { RoundFold } from "./fold.js";
import { clientsOfRound, selectedClients } from "./participants.js";
import { endRound, NO_ROUND_YET, type RoundEnd } from "./round-end.js";
import type { RoundSchedule } from "./schedule.js";
import { StoredTensors } from "./stored-tensors.js";
import {
  ask,
  type CurvePoint,
  lossOf,
  mean,
  nothing,
  type Pooled,
  schedule,
  type TrainedAdapter,
  type TrainingJob,
  type TrainingParts,
  trainingOf,
} from "./training-job.js";
import { UpdateTransport } from "./transport.js";

/** What the rounds of one training have in common. */
interface Training {
  readonly job: TrainingJob;
  readonly schedule: RoundSchedule;
  /** Place of each client in the schedule. */
  readonly places: ReadonlyMap<string, number>;
  readonly transport: UpdateTransport;
  /** @param round done so far, also parts of one */
  readonly onProgress: (rounds: number) => void;
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

/** The journal's name for the end of a round. */
const roundKey = ({ training, index }: Round): string => `round/${training}/${index}`;

/** Takes updates as they arrive; nothing where the round's end is stored already. */
async function openFold(
  ctx: TrainingParts,
  { job }: Training,
  round: Round,
  { start, state }: RoundEnd,
): Promise<RoundFold | undefined> {
  if (await ctx.journal.has(roundKey(round))) return undefined;
  const { adapter } = job;
  return new RoundFold({
    blobs: ctx.cohort.blobs,
    strategy: ctx.strategy,
    round,
    adapter,
    start: start ?? undefined,
    state: state ?? undefined,
    expected: ctx.shapes.get(adapter.kind),
    signal: ctx.signal,
  });
}

async function askRound(
  ctx: TrainingParts,
  training: Training,
  round: Round,
  from: RoundEnd,
  fold: RoundFold | undefined,
): Promise<RoundAnswers> {
  const { job, schedule } = training;
  const validates = (job.validateRounds ?? true) && schedule.validates(round.index);
  const { proximal = 0 } = ctx.strategy.client?.(round) ?? {};
  const terms = proximal > 0 ? { proximal } : {};
  const request: Pick<Request<TrainAdapter>, "key" | "taskOf" | "transient"> = {
    transient: true,
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
  const onShare = (share: number): void => training.onProgress(round.index + share);
  const selected = await selectedClients(ctx.journal, ctx.strategy, round);
  const clients = await clientsOfRound(ctx.journal, ctx.strategy, round, selected, (arrived, signal) => {
    const onDone = (client: string, result: unknown): void => arrived(client, result !== undefined);
    return ctx.cohort.ask({ stage: job.stage, ...request, clients: selected, onDone, onShare, signal });
  });
  const sittingOut = new Set(job.clients);
  for (const client of selected) sittingOut.delete(client);
  const onDone = (client: string, result: TrainAdapterResult | undefined): void => {
    if (result === undefined) return;
    const { values, transforms } = result;
    const examples = ctx.cohort.info(client).rows.train;
    fold?.accept({ client, examples, values, transforms, steps: trainingAt(ctx, training, client, round.index) });
  };
  const [results, pooled] = await Promise.all([
    ask(ctx, job, { ...request, clients, onDone, onShare }),
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

/** Ends a round, once. @param fold absent where its end is stored */
async function closeRound(
  ctx: TrainingParts,
  { job }: Training,
  round: Round,
  before: RoundEnd,
  fold: RoundFold | undefined,
) {
  const { adapter, stage } = job;
  const end = async () => {
    if (fold === undefined) throw new KindredError("internal", `the end of ${roundKey(round)} was stored, and is gone`);
    return await endRound(fold, before);
  };
  const step = await ctx.journal.step(roundKey(round), end, { transient: true });
  // A run that resumes at its very end reads the shapes again, from whichever training is first then.
  if (before.full === null) ctx.retention.keep(step.full);
  for (const { client, reason } of step.rejected) ctx.cohort.fault(client, stage, reason);
  if (step.full !== null && !ctx.shapes.has(adapter.kind)) {
    ctx.shapes.set(adapter.kind, (await StoredTensors.open(ctx.cohort.blobs, step.full)).shapes);
  }
  return step;
}

export async function trainTogether(ctx: TrainingParts, job: TrainingJob): Promise<TrainedAdapter> {
  const plan = schedule(ctx, job);
  const places = new Map(job.clients.map((client, at) => [client, at]));
  const transport = new UpdateTransport(job.name, ctx.plan.transport.compression);
  let lastLoss: number | undefined;
  const onProgress = (rounds: number): void => {
    const round = `${Math.min(Math.floor(rounds) + 1, plan.rounds)}/${plan.rounds}`;
    // The last validation takes about as long as a round.
    job.onProgress?.(rounds / (plan.rounds + 1), { round, ...lossFact(lastLoss) });
  };
  const training: Training = { job, schedule: plan, places, transport, onProgress };
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
    if (Number.isFinite(validationLoss)) lastLoss = validationLoss;
    onProgress(round === plan.rounds ? round + 1 : round);
  };
  for (let index = 0; index < plan.rounds; index++) {
    const round = roundOf(ctx, training, index);
    const fold = await openFold(ctx, training, round, end);
    const { results, pooled } = await askRound(ctx, training, round, end, fold);
    record(index, pooled);
    const { rejected, ...next } = await closeRound(ctx, training, round, end, fold);
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
  const values = best.values ?? end.full;
  ctx.retention.keep(values);
  return {
    values,
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
