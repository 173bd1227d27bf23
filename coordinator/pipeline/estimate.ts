/**
 * From sketches to groups: how every client would fare in every sampled subset, without training, and the partition that this
 * suggests. The sketches are asked of the clients; the rest is computed once and kept in the journal.
 */

import { KindredError } from "../../shared/base/errors.js";
import type { GroupConstraints } from "../../shared/base/group-constraints.js";
import { MeteredRuntime } from "../../shared/runtimes/metered.js";
import { type AnswerPrefix, answerSets } from "../../shared/sketch/answer-prefixes.js";
import { decodeSketches } from "../../shared/sketch/codec.js";
import type { ClientSketch } from "../../shared/sketch/types.js";
import type { BlobRef } from "../../shared/wire/types.js";
import type { ListChoices } from "../../tasks/list-choices/message.js";
import { negativesOf, sketchTask, sketchWidth } from "../../tasks/sketch-gradients/message.js";
import type { RealLosses } from "../estimation/calibration.js";
import type { Half } from "../estimation/evaluate.js";
import { type Forecast, forecastOf } from "../estimation/forecast.js";
import { EstimatorJudge } from "../estimation/judge.js";
import { firstSubsets } from "../estimation/precision.js";
import { checkClientSketch } from "../estimation/problem.js";
import { PartitionConstraints } from "../grouping/constraints.js";
import {
  type EstimationFacts,
  type EstimationSettings,
  estimateAffinities,
  factsOf,
  halfAffinity,
  openEstimator,
  samplingOf,
} from "../stages/affinities.js";
import { candidateNotes, findGroups, type GroupingCandidateNote } from "../stages/groups.js";
import { faultText, type PipelineContext, type PipelinePlan } from "./context.js";

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
  readonly flops: number;
}

/** @param real brings the estimate to the level of real losses */
export async function estimateAndGroup(ctx: PipelineContext, real?: RealLosses): Promise<EstimateOutcome> {
  const { plan } = ctx;
  const all = ctx.clients.map(({ name }) => name);
  const choices = negativesOf(plan.estimation.margin) > 1 ? await choicesOf(ctx, all) : undefined;
  // Who did not say what its answers are is not asked for sketches: it would be waited for twice.
  const names = choices === undefined ? all : all.filter((name) => choices.has(name));
  const task = sketchTask(plan, choices === undefined ? [] : answerSets([...choices.values()]));
  const stage = ctx.progress.stage("sketch gradients", names.length);
  const results = await ctx.ask(
    "estimate",
    ["kindred"],
    "sketch",
    names,
    () => task,
    () => stage.tick(),
  );
  stage.done();

  const outcome = await ctx.journal.step(ESTIMATE, async () => {
    const refs = new Map([...results].map(([client, { rows }]) => [client, rows]));
    return await solve(ctx, refs, real);
  });
  for (const { client, reason } of outcome.rejected) ctx.fault(client, "estimate", reason);
  ctx.costs.kindred.flops += outcome.flops;
  return outcome;
}

/** How each client's answers begin. */
async function choicesOf(
  ctx: PipelineContext,
  names: readonly string[],
): Promise<ReadonlyMap<string, readonly AnswerPrefix[]>> {
  const task: ListChoices = { kind: "listChoices", adapter: ctx.adapterSpec() };
  const results = await ctx.ask("estimate", ["kindred"], "choices", names, () => task);
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
  ctx: PipelineContext,
  refs: ReadonlyMap<string, BlobRef>,
  real: RealLosses | undefined,
): Promise<StoredEstimate> {
  const { estimation, groups, seed } = ctx.plan;
  const width = sketchWidth(estimation);
  const sketches: ClientSketch[] = [];
  const rejected: { client: string; reason: string }[] = [];
  for (const [client, ref] of refs) {
    try {
      const rows = decodeSketches(await ctx.pool.getBlob(ref), width, client);
      const sketch = { client, trainExamples: ctx.info(client).rows.train, ...rows };
      checkClientSketch(sketch, width);
      sketches.push(sketch);
    } catch (error) {
      if (!(error instanceof KindredError)) throw error;
      rejected.push({ client, reason: error.message });
    }
  }
  if (sketches.length === 0) {
    const [first] = [...rejected.map(({ client, reason }) => `${client}: ${reason}`), ...ctx.faults.map(faultText)];
    throw new KindredError("quorum_not_met", `no client sent usable sketches; the first fault: ${first}`, {
      stage: "estimate",
    });
  }
  const stage = ctx.progress.stage("estimate affinities", 1);
  const clients = sketches.map(({ client }) => client);
  const runtime = new MeteredRuntime(ctx.runtime);
  const solver = await openEstimator(sketches, estimation, { seed, runtime, signal: ctx.signal, real });
  try {
    const sampled = await estimateAffinities(solver, estimation, seed);
    const { matrix } = sampled.affinity;
    stage.tick(1);
    stage.done();
    // How many groups the search will look at is known only when it ends.
    const searching = ctx.progress.stage("search groups", 0);
    const judge = new EstimatorJudge(solver, { onSolved: (groups) => searching.tick(groups) });
    const halves = (half: Half) => halfAffinity(sampled, half);
    const grouping = await findGroups(
      matrix,
      { judge, problem: solver.problem, halves },
      {
        groups,
        method: ctx.plan.grouping.method,
        // A client that dropped out takes its wishes along.
        constraints: new PartitionConstraints(clients, ctx.plan.grouping),
        seed,
        signal: ctx.signal,
      },
    );
    searching.done({ groups: grouping.partition.length });
    return {
      clients,
      affinity: matrix.map((row) => Array.from(row)),
      partition: grouping.partition.map((group) => [...group]),
      candidates: candidateNotes(grouping),
      reason: grouping.why,
      facts: {
        ...factsOf(solver, sampled),
        forecast: await forecastOf(solver, grouping.partition, seed),
      },
      flops: runtime.flops,
      rejected,
      evidence: {
        sketches: sketches.map(({ client, trainExamples }) => ({ client, trainExamples, rows: refs.get(client)! })),
        dim: width,
        projections: estimation.projections,
        seed,
        balance: estimation.balance,
        lambda: estimation.lambda,
        ...(real === undefined ? {} : { real: { own: [...real.own], common: [...real.common] } }),
        constraints: constraintsOf(ctx.plan),
        errors: sampled.errors.matrix.every((row) => row.every(Number.isFinite))
          ? sampled.errors.matrix.map((row) => Array.from(row, (error) => Number(error.toPrecision(4))))
          : null,
      },
    };
  } finally {
    await solver.close();
  }
}

/** What the journal can keep of the constraints: fields that are undefined are left out. */
const constraintsOf = ({ grouping: { minSize, maxSize, together, apart } }: PipelinePlan): GroupConstraints => ({
  ...(minSize === undefined ? {} : { minSize }),
  ...(maxSize === undefined ? {} : { maxSize }),
  together: together.map((list) => [...list]),
  apart: apart.map((list) => [...list]),
});

/**
 * Whether the constraints on groups can be kept by these clients, and speak of them alone: known before the first training.
 * @throws {KindredError} `invalid_option` naming the constraint
 */
export function checkGrouping({ groups, grouping }: PipelinePlan, clients: readonly string[]): void {
  const known = new Set(clients);
  for (const key of ["together", "apart"] as const)
    for (const name of grouping[key].flat())
      if (!known.has(name))
        throw new KindredError(
          "invalid_option",
          `grouping.${key} names ${JSON.stringify(name)}: no client is called so`,
          {
            client: name,
          },
        );
  const { fewest, most } = new PartitionConstraints(clients, grouping).counts;
  if (groups !== "auto" && groups > clients.length)
    throw new KindredError("invalid_option", `groups is ${groups}, but there are only ${clients.length} clients`, {
      groups,
    });
  if (groups !== "auto" && (groups < fewest || groups > most))
    throw new KindredError(
      "invalid_option",
      `groups is ${groups}, but the constraints of grouping leave ${fewest} to ${most} groups of ${clients.length} clients`,
      { groups, fewest, most },
    );
}

/**
 * Whether subsets as planned can be drawn of so many clients: known before the first training, which may take hours.
 * @throws {KindredError} `invalid_option` saying what to change
 */
export function checkSampling(plan: PipelinePlan, clients: number): void {
  firstSubsets(clients, samplingOf(plan.estimation, plan.seed));
}
