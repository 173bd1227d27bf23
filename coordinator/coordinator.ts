/**
 * `kindred coordinator`: serves a federation until its ensemble is published. It sees no example; killed at any point, it
 * resumes from its state folder and ends with the same result.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { writeAtomically } from "../shared/base/atomic.js";
import { defaultCache } from "../shared/base/cache.js";
import type { JobContext } from "../shared/base/command.js";
import { KindredError } from "../shared/base/errors.js";
import type { CoordinatorPlan } from "../shared/config/config.js";
import { modelHash, openModelFolder } from "../shared/models/files.js";
import { resolveModel } from "../shared/models/hub.js";
import type { Quantization } from "../shared/quantization/layout.js";
import { openRuntime } from "../shared/runtimes/choose.js";
import type { SecurityOptions } from "../shared/wire/security.js";
import type { Score } from "../tasks/evaluate/message.js";
import { PipelineContext } from "./pipeline/context.js";
import { checkGrouping, checkSampling } from "./pipeline/estimate.js";
import { Journal } from "./pipeline/journal.js";
import { type RunOutcome, runPipeline } from "./pipeline/run.js";
import { startCoordinator } from "./server/server.js";

export interface CoordinatorJob {
  /** HOST:PORT */
  readonly listen: string;
  /** Folder of the state. */
  readonly state: string;
  readonly security: SecurityOptions;
}

/**
 * Runs a federation to its end, or takes up the one in the state folder.
 * @throws {KindredError} `already_exists` where the folder holds a run of another configuration; as `startCoordinator`
 */
export async function runCoordinator(plan: CoordinatorPlan, job: CoordinatorJob, context: JobContext): Promise<void> {
  const { log, progress, signal } = context;
  checkSampling(plan, plan.minClients);
  const hash = plan.model === undefined ? undefined : await hashOf(plan.model, plan.base.quantization, signal);
  const runtime = await openRuntime(plan.runtime);
  const coordinator = await startCoordinator({
    listen: job.listen,
    security: job.security,
    state: job.state,
    ...(hash === undefined ? {} : { modelHash: hash }),
    log,
  }).catch(async (error: unknown) => {
    await runtime.close();
    throw error;
  });
  try {
    const journal = new Journal(coordinator.state.records);
    const fingerprint = createHash("sha256").update(JSON.stringify(plan)).digest("hex");
    if ((await journal.step("plan", async () => fingerprint)) !== fingerprint) {
      throw new KindredError(
        "already_exists",
        `${job.state}: holds a run of another configuration or another version of Kindred; go on with those it was started with, or give another --state`,
        { state: job.state },
      );
    }
    const waiting = progress.stage("clients", plan.minClients);
    log.info("waiting for clients", { minClients: plan.minClients, address: coordinator.address });
    const enrolled = await coordinator.pool.whenEnrolled(plan.minClients, signal);
    waiting.done();
    // Who takes part is settled once: a resumed run has the same clients in the same order.
    const names = await journal.step("members", async () => enrolled.map(({ name }) => name).sort());
    checkGrouping(plan, names);
    const known = new Map((await coordinator.pool.clients()).map((client) => [client.name, client]));
    const ctx = new PipelineContext({
      pool: coordinator.pool,
      journal,
      plan,
      clients: names.map((name) => known.get(name)!),
      runtime,
      log,
      progress,
      signal,
    });
    const outcome = await runPipeline(ctx, { compare: ["base"], model: plan.model ?? null });
    await writeAtomically(join(job.state, "result.json"), `${JSON.stringify(summary(ctx, outcome), null, 1)}\n`);
    log.info("run finished", { groups: outcome.groups.length, members: outcome.members.length, state: job.state });
    await coordinator.pool.finish("the run is complete");
  } finally {
    await coordinator.close();
    await runtime.close();
  }
}

async function hashOf(model: string, quantization: Quantization | "none", signal: AbortSignal): Promise<string> {
  const folder = await openModelFolder(await resolveModel(model, { signal }));
  return await modelHash(folder, { cache: join(defaultCache(), "model-hashes.json"), quantization });
}

/** What a deployment's operator wants to know; scores are of each client's own test rows. */
function summary(ctx: PipelineContext, outcome: RunOutcome): unknown {
  const scored = (score: Score | undefined) =>
    score && {
      loss: score.nllSum / score.tokens,
      accuracy: score.choiceRows > 0 ? score.correct / score.choiceRows : null,
      macroF1: score.macroF1 ?? null,
    };
  const methods = Object.fromEntries(
    [...outcome.methods].map(([method, { clients }]) => [
      method,
      Object.fromEntries(outcome.clients.map((name) => [name, scored(clients.get(name))])),
    ]),
  );
  return {
    clients: outcome.clients,
    groups: outcome.groups,
    affinity: outcome.estimate.affinity,
    learningRate: outcome.sweep.learningRate,
    members: outcome.members.map(({ name, group, kind }) => ({ name, group, kind })),
    weights: Object.fromEntries(outcome.weights),
    methods,
    cost: ctx.costs.kindred,
    faults: ctx.faults,
  };
}
