/**
 * The composition of a pinned run, in this file alone. The tests see its plan and its outcome as plain JSON.
 */
import { EventLog } from "../../coordinator/events/events.js";
import { openRun, type RunOutcome } from "../../coordinator/open-run.js";
import type { ClientPool } from "../../coordinator/roster/pool.js";
import type { StateGuard } from "../../coordinator/storage/guard.js";
import type { Records } from "../../coordinator/storage/types.js";
import type { RunPlan } from "../../shared/config/config.js";
import type { Runtime } from "../../shared/runtimes/types.js";
import type { Compression } from "../../shared/transforms/names.js";

/** The options of pinned runs. */
export interface PinnedPlan {
  readonly compare: readonly ("base" | "shared" | "local" | "full")[];
  readonly optimizer: "fedavg" | "fedexp" | "fedadam" | "fedyogi";
  readonly learningRate: "auto" | number;
  readonly fullLearningRate: "auto" | number;
  readonly epochs: number;
  readonly freezeA: boolean;
  readonly margin: "answer" | "negatives";
  readonly calibrate: boolean;
  readonly groups: "auto" | number;
  readonly boosting: number;
  /** @default "none" */
  readonly compression?: Compression;
}

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

export interface PinnedRun {
  readonly plan: PinnedPlan;
  /** In the run's order. */
  readonly clients: readonly string[];
  readonly pool: ClientPool;
  readonly records: Records;
  readonly guard?: Pick<StateGuard, "watchRepairs">;
  readonly runtime: Runtime;
  readonly signal: AbortSignal;
}

function planOf(plan: PinnedPlan, clients: number): RunPlan {
  return {
    base: { quantization: "none" },
    transport: { compression: plan.compression ?? "none" },
    adapter: { kind: "lora", rank: 2, alpha: 4, modules: ["q_proj"], dropout: 0, freezeA: plan.freezeA, rslora: false },
    training: {
      epochs: plan.epochs,
      batch: 2,
      learningRate: plan.learningRate,
      localSteps: 1,
      strategy: { kind: plan.optimizer, learningRate: "auto", momentum: "auto" },
      weightDecay: 0.01,
      warmup: 0.1,
      clipNorm: 1,
    },
    estimation: {
      subsets: "auto",
      // One client has no subset of two.
      subsetSize: clients > 1 ? 2 : "auto",
      lambda: 0.1,
      standardError: "auto",
      design: "balanced",
      balance: "none",
      dim: 4,
      projections: 1,
      labels: false,
      examplesPerClient: 3,
      margin: plan.margin,
      calibrate: plan.calibrate,
    },
    groups: plan.groups,
    grouping: { method: "kindred", minSize: 1, together: [], apart: [] },
    boosting: { rounds: plan.boosting },
    ensemble: { strength: "auto" },
    seed: 5,
  };
}

/** Runs to the end, from the given state. */
export async function pinnedRun({ plan, clients, pool, records, guard, runtime, signal }: PinnedRun): Promise<Json> {
  const { result } = openRun({
    plan: planOf(plan, clients.length),
    members: { names: clients },
    pool,
    state: { records },
    ...(guard === undefined ? {} : { guard }),
    runtime,
    events: new EventLog(records),
    compare: plan.compare,
    model: "pinned",
    fullLearningRate: plan.fullLearningRate,
    deadlineMs: 0,
    signal,
  });
  return plain(await result);
}

/** All parts except the time. */
function plain({ methods, weights, fullSweep, rows: _, costs, ...rest }: RunOutcome): Json {
  return JSON.parse(
    JSON.stringify({
      ...rest,
      fullSweep: fullSweep ?? null,
      weights: [...weights],
      methods: [...methods].map(([method, clients]) => [method, [...clients]]),
      costs: Object.fromEntries(
        Object.entries(costs).map(([method, { flops, bytesUp, bytesDown }]) => [method, { flops, bytesUp, bytesDown }]),
      ),
    }),
  ) as Json;
}

/** The same text for equal outcomes, independent of the order of fields. */
export function canonical(json: Json): string {
  return JSON.stringify(json, (_, value) =>
    value !== null && typeof value === "object" && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  );
}

/**
 * The parts of an outcome that must not change with the machine, the protocol or the texts of messages. Left out are affinities, values
 * and operations of the estimate, which the solver computes in float32, so that they may differ between processors; bytes on the wire;
 * texts of faults. The rest is computed in float64 by the coordinator and the cohort.
 */
export function lastingNumbers(outcome: Json): Json {
  const { estimate, costs, faults, boosting: _, ...rest } = outcome as unknown as RunOutcome;
  const { clients, partition } = estimate;
  const flops = Object.entries(costs).map(([method, cost]) => [
    method,
    cost.flops - (method === "kindred" ? estimate.flops.estimate + estimate.flops.search : 0),
  ]);
  return {
    ...rest,
    estimate: { clients, partition },
    flops: Object.fromEntries(flops),
    faults: faults.map(({ client, stage }) => ({ client, stage })),
  } as unknown as Json;
}
