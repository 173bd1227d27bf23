/**
 * From sketches to groups: how every client would fare in every sampled subset, without training, and the partition that this
 * suggests. The clients send the sketches. The rest is computed once and kept in the journal.
 */

import { KindredError } from "../../../shared/base/errors.js";
import type { GroupConstraints } from "../../../shared/base/group-constraints.js";
import type { RunPlan } from "../../../shared/config/config.js";
import { MeteredRuntime } from "../../../shared/runtimes/metered.js";
import type { Runtime } from "../../../shared/runtimes/types.js";
import { type AnswerPrefix, answerSets } from "../../../shared/sketch/answer-prefixes.js";
import { decodeSketches, mostSketchBytes } from "../../../shared/sketch/codec.js";
import type { ClientSketch } from "../../../shared/sketch/types.js";
import type { BlobRef } from "../../../shared/wire/types.js";
import type { ListChoices } from "../../../tasks/list-choices/message.js";
import { negativesOf, sketchTask, sketchWidth } from "../../../tasks/sketch-gradients/message.js";
import type { RealLosses } from "../../estimation/calibration.js";
import { type Forecast, forecastOf } from "../../estimation/forecast.js";
import { SurrogateEvaluator } from "../../estimation/partition-evaluator.js";
import { checkClientSketch } from "../../estimation/problem.js";
import { beginStage, type EventSink } from "../../events/events.js";
import { PartitionConstraints } from "../../grouping/constraints.js";
import type { Books } from "../../run/books.js";
import { type Cohort, faultText } from "../../run/cohort.js";
import type { Journal } from "../../run/journal.js";
import {
  type EstimationFacts,
  type EstimationSettings,
  estimateAffinities,
  factsOf,
  halfAffinity,
  openEstimator,
} from "../../stages/affinities.js";
import { candidateNotes, findGroups, type GroupingCandidateNote } from "../../stages/groups.js";

export interface EstimateOutcome {
  /** Whom the estimation covers, in the run's order: all whose sketches are good. */
  readonly clients: readonly string[];
  /** [clients, clients]; higher is better. */
  readonly affinity: readonly (readonly number[])[];
  /** Partition of the clients' indices. */
  readonly partition: readonly (readonly number[])[];
  readonly candidates: readonly GroupingCandidateNote[];
  readonly reason: string;
  readonly facts: EstimationFacts & {
    /** Of the partition. */
    readonly forecast: Forecast;
  };
  /** Operations of the coordinator's own solves. */
  readonly flops: { readonly estimate: number; readonly search: number };
}

/** What the estimate needs of a run. */
export interface EstimateParts {
  readonly plan: Pick<RunPlan, "adapter" | "estimation" | "groups" | "grouping" | "seed">;
  readonly cohort: Cohort;
  readonly books: Books;
  readonly journal: Journal;
  readonly events: EventSink;
  /** Runs the coordinator's own matrix products. */
  readonly runtime: Runtime;
  readonly signal?: AbortSignal | undefined;
}

/** @param real brings the estimate to the level of real losses */
export async function estimateAndGroup(parts: EstimateParts, real?: RealLosses): Promise<EstimateOutcome> {
  const { cohort, books, journal } = parts;
  const refs = await books.time(["kindred"], "sketch", () => sketchesOf(parts));
  const outcome = await books.time(["kindred"], "estimate", () =>
    journal.step(ESTIMATE, () => solve(parts, refs, real)),
  );
  for (const { client, reason } of outcome.rejected) cohort.fault(client, "estimate", reason);
  books.compute("kindred", "estimate", outcome.flops.estimate);
  books.compute("kindred", "search", outcome.flops.search);
  return outcome;
}

/** Asks every client for its sketches. */
async function sketchesOf(parts: EstimateParts): Promise<ReadonlyMap<string, BlobRef>> {
  const { plan, cohort, books, events } = parts;
  const prefixes = negativesOf(plan.estimation.margin) > 1 ? await answerPrefixesOf(parts) : undefined;
  // A client that did not send its answer prefixes is not asked for sketches: the run would wait for it twice.
  const clients = prefixes === undefined ? cohort.names : cohort.names.filter((name) => prefixes.has(name));
  const task = sketchTask(plan, prefixes === undefined ? [] : answerSets([...prefixes.values()]));
  const stage = beginStage(events, "sketch gradients", clients.length);
  const { results, charges } = await cohort.ask({
    stage: "estimate",
    key: "sketch",
    clients,
    taskOf: () => task,
    weight: (rows) => rows.train + rows.validation,
    onShare: (share, answered) => stage.answered(share, answered, clients.length),
  });
  books.charge(["kindred"], "sketch", charges);
  stage.end();
  return new Map([...results].map(([client, { rows }]) => [client, rows]));
}

/** How each client's answers begin. */
async function answerPrefixesOf({
  plan,
  cohort,
  books,
  events,
}: EstimateParts): Promise<ReadonlyMap<string, readonly AnswerPrefix[]>> {
  const stage = beginStage(events, "list answers", cohort.names.length);
  const task: ListChoices = { kind: "listChoices", adapter: { ...plan.adapter, initSeed: plan.seed } };
  const { results, charges } = await cohort.ask({
    stage: "estimate",
    key: "choices",
    clients: cohort.names,
    taskOf: () => task,
    onShare: (share, answered) => stage.answered(share, answered, cohort.names.length),
  });
  books.charge(["kindred"], "sketch", charges);
  stage.end();
  return new Map([...results].map(([name, { answerPrefixes }]) => [name, answerPrefixes]));
}

/** What the journal keeps under `ESTIMATE`. */
export interface StoredEstimate extends EstimateOutcome {
  readonly rejected: readonly { readonly client: string; readonly reason: string }[];
  /** What judging further partitions takes; absent in states of earlier versions. */
  readonly evidence?: {
    /** In the order of `clients`. */
    readonly sketches: readonly { readonly client: string; readonly trainExamples: number; readonly rows: BlobRef }[];
    /** Numbers of a sketch: of all its projections. */
    readonly dim: number;
    /** Absent in states of earlier versions: one. */
    readonly projections?: number;
    readonly seed: number;
    readonly balance: EstimationSettings["balance"];
    readonly lambda: EstimationSettings["lambda"];
    /** What the estimate is calibrated by, pairs of a client and a loss in nats; absent where it is not. */
    readonly real?: {
      readonly own: readonly (readonly [string, number])[];
      readonly common: readonly (readonly [string, number])[];
    };
    readonly constraints: GroupConstraints;
    /** Standard errors of the affinities, nats, four digits; null where each pair was seen once of many times. */
    readonly errors: readonly (readonly number[])[] | null;
  };
}

export const ESTIMATE = "estimate";

async function solve(
  parts: EstimateParts,
  refs: ReadonlyMap<string, BlobRef>,
  real: RealLosses | undefined,
): Promise<StoredEstimate> {
  const { events, signal } = parts;
  const { estimation, groups, grouping: constraints, seed } = parts.plan;
  const { sketches, rejected } = await usableSketches(parts, refs);
  const clients = sketches.map(({ client }) => client);
  // How many subsets a standard error needs is known only when it is reached.
  const estimating = beginStage(events, "estimate affinities", estimation.standardError === "auto" ? 1 : 0);
  const runtime = new MeteredRuntime(parts.runtime);
  const solver = await openEstimator(sketches, estimation, { seed, runtime, signal, real });
  try {
    const sampled = await estimateAffinities(solver, estimation, seed, (share) => estimating.reached(share));
    const { matrix } = sampled.affinity;
    const estimated = runtime.flops;
    estimating.end();
    // How many groups the search looks at is known only when it ends.
    const searching = beginStage(events, "search groups", 0);
    let solved = 0;
    const onSolved = (count: number): void => {
      solved += count;
      searching.advance({ candidateGroups: solved }, count);
    };
    const evaluator = new SurrogateEvaluator(solver, { onSolved });
    const grouping = await findGroups(
      matrix,
      { evaluator, problem: solver.problem, halves: (half) => halfAffinity(sampled, half) },
      {
        groups,
        method: constraints.method,
        // A client that dropped out takes its constraints along.
        constraints: new PartitionConstraints(clients, constraints),
        seed,
        signal,
      },
    );
    const forecast = await forecastOf(solver, grouping.partition, seed);
    searching.end({ groups: grouping.partition.length });
    return {
      clients,
      affinity: matrix.map((row) => Array.from(row)),
      partition: grouping.partition.map((group) => [...group]),
      candidates: candidateNotes(grouping),
      reason: grouping.why,
      facts: { ...factsOf(solver, sampled), forecast },
      flops: { estimate: estimated, search: runtime.flops - estimated },
      rejected,
      evidence: evidenceOf(parts, { sketches, refs, real, errors: sampled.errors.matrix }),
    };
  } finally {
    await solver.close();
  }
}

/** The sketches that can be used, in the run's order. @throws {KindredError} `quorum_not_met` where none can */
async function usableSketches({ plan, cohort }: EstimateParts, refs: ReadonlyMap<string, BlobRef>) {
  const width = sketchWidth(plan.estimation);
  const most = mostSketchBytes(plan.estimation.examplesPerClient, width);
  const sketches: ClientSketch[] = [];
  const rejected: { client: string; reason: string }[] = [];
  for (const [client, ref] of refs) {
    try {
      if (ref.size > most) {
        throw new KindredError("too_large", `sketches of ${client}: ${ref.size} bytes; expected at most ${most}`);
      }
      const rows = decodeSketches(await cohort.getBlob(ref), width, client);
      const sketch = { client, trainExamples: cohort.info(client).rows.train, ...rows };
      checkClientSketch(sketch, width);
      sketches.push(sketch);
    } catch (error) {
      if (!(error instanceof KindredError)) throw error;
      rejected.push({ client, reason: error.message });
    }
  }
  if (sketches.length === 0) {
    const [first] = [...rejected.map(({ client, reason }) => `${client}: ${reason}`), ...cohort.faults.map(faultText)];
    throw new KindredError("quorum_not_met", `no client sent usable sketches; the first fault: ${first}`, {
      stage: "estimate",
    });
  }
  return { sketches, rejected };
}

interface EvidenceSources {
  readonly sketches: readonly ClientSketch[];
  readonly refs: ReadonlyMap<string, BlobRef>;
  readonly real: RealLosses | undefined;
  /** Standard errors of the affinities, [clients, clients]. */
  readonly errors: readonly ArrayLike<number>[];
}

function evidenceOf(
  { plan }: EstimateParts,
  { sketches, refs, real, errors }: EvidenceSources,
): NonNullable<StoredEstimate["evidence"]> {
  const { estimation, seed } = plan;
  return {
    sketches: sketches.map(({ client, trainExamples }) => ({ client, trainExamples, rows: refs.get(client)! })),
    dim: sketchWidth(estimation),
    projections: estimation.projections,
    seed,
    balance: estimation.balance,
    lambda: estimation.lambda,
    ...(real === undefined ? {} : { real: { own: [...real.own], common: [...real.common] } }),
    constraints: constraintsOf(plan),
    errors: errors.every((row) => Array.from(row).every(Number.isFinite))
      ? errors.map((row) => Array.from(row, (error) => Number(error.toPrecision(4))))
      : null,
  };
}

/** What the journal can keep of the constraints: fields that are undefined are left out. */
const constraintsOf = ({
  grouping: { minSize, maxSize, together, apart },
}: Pick<RunPlan, "grouping">): GroupConstraints => ({
  ...(minSize === undefined ? {} : { minSize }),
  ...(maxSize === undefined ? {} : { maxSize }),
  together: together.map((list) => [...list]),
  apart: apart.map((list) => [...list]),
});
