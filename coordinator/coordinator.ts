/**
 * A coordinator: serves a federation until its ensemble is published. It sees no example. Killed at any point, it resumes from its
 * state and ends with the same result.
 */
import { join } from "node:path";
import { writeAtomically } from "../shared/base/atomic.js";
import { defaultCache, makeCache } from "../shared/base/cache.js";
import type { JobContext } from "../shared/base/command.js";
import { KindredError } from "../shared/base/errors.js";
import type { CoordinatorPlan } from "../shared/config/config.js";
import { modelHash, openModelFolder } from "../shared/models/files.js";
import { resolveModel } from "../shared/models/hub.js";
import { modelTokenizerHash } from "../shared/models/tokenizer-json.js";
import type { Quantization } from "../shared/quantization/layout.js";
import { openRuntime } from "../shared/runtimes/choose.js";
import { transformsOf } from "../shared/transforms/names.js";
import type { SecurityOptions } from "../shared/wire/security.js";
import type { ModelIdentity } from "../shared/wire/types.js";
import type { Score } from "../tasks/evaluate/message.js";
import { EventLog, type RunEvent, type RunEventListener } from "./events/events.js";
import { logReader } from "./events/follow.js";
import { EnrolmentProgress, progressReader } from "./events/stage-progress.js";
import { checkSampling } from "./methods/kindred/plan-checks.js";
import { openRun, type RunOutcome } from "./open-run.js";
import { type CoordinatorServer, serveCoordinator } from "./server/server.js";
import { type Pause, StateGuard } from "./storage/guard.js";
import { openState } from "./storage/open.js";
import { orTrouble } from "./storage/trouble.js";
import { strategyOf } from "./strategies/registry.js";
import type { Strategy } from "./strategies/strategy.js";

export interface CoordinatorJob {
  /** HOST:PORT. Port 0 takes a free one. */
  readonly listen: string;
  /** Folder or URL of the state (see `openState`); made where there is none. */
  readonly state: string;
  /** File that gets a summary of the result, as JSON, before the clients are told that the run is over. */
  readonly summary?: string;
  readonly security?: SecurityOptions;
  /** Strategies of the program's own, which `training.strategy: {kind: custom}` names. */
  readonly strategies?: readonly Strategy[];
  /** Told of everything that happens in the run. */
  readonly onEvent?: RunEventListener;
}

/** A coordinator at work. */
export interface RunningCoordinator {
  /** HOST:PORT that clients dial. */
  readonly address: string;
  /** What the run came to, once its clients know that it is over. Rejects as `Run.result` does. */
  readonly result: Promise<RunOutcome>;
  /** Stops the run. `result` rejects with `cancelled`; the same state resumes it. */
  abort(): void;
}

/**
 * Starts a federation, or takes up the one in the state folder.
 * @throws {KindredError} `insecure`, `invalid_option` (address, TLS files, state), `unsupported` (state of another version)
 */
export async function startCoordinator(
  plan: CoordinatorPlan,
  job: CoordinatorJob,
  { log, progress, signal }: JobContext,
): Promise<RunningCoordinator> {
  checkSampling(plan, plan.minClients);
  strategyOf(plan.training.strategy, job.strategies);
  const identity = plan.model === undefined ? {} : await identityOf(plan.model, plan.base.quantization, signal);
  const runtime = await openRuntime(plan.runtime);
  const closing: (() => Promise<unknown>)[] = [() => runtime.close()];
  const close = async (): Promise<void> => {
    for (const end of closing.splice(0).reverse()) await end();
  };
  const stop = new AbortController();
  const stopped = AbortSignal.any([signal, stop.signal]);
  try {
    const opened = await openState(job.state);
    closing.push(() => opened.close());
    const onPause = (pause: Pause): void => events.emit(pauseEvent(pause));
    const guard = new StateGuard(opened, { waits: true, log, signal: stopped, onPause });
    const { state } = guard;
    const events = new EventLog(state.records);
    closing.push(() => events.flush());
    const enrolment = new EnrolmentProgress(progress, plan.minClients);
    const readers = [progressReader(progress, { names: true }), enrolment.listen, logReader(log)];
    await events.subscribe(...readers, ...(job.onEvent === undefined ? [] : [job.onEvent]));
    const server = await serveCoordinator({
      listen: job.listen,
      security: job.security,
      state,
      guard,
      events,
      identity,
      transforms: transformsOf(plan.transport.compression),
      log,
    });
    closing.push(() => server.close());
    log.info("waiting for clients", { atLeast: plan.minClients, state: job.state });
    enrolment.begin();
    const run = openRun({
      plan,
      members: { atLeast: plan.minClients },
      pool: server.pool,
      state,
      guard,
      runtime,
      events,
      ...(job.strategies === undefined ? {} : { strategies: job.strategies }),
      compare: ["base"],
      model: plan.modelName ?? null,
      signal: AbortSignal.any([stopped, guard.failed]),
    });
    const result = run.result
      .catch((error: unknown): never => {
        throw stopped.aborted ? error : (guard.failed.reason ?? namingState(error, job.state));
      })
      .then((outcome) => conclude(outcome, server, guard, job))
      .finally(close);
    return { address: server.address, result, abort: () => stop.abort() };
  } catch (error) {
    await close();
    throw error;
  }
}

/** A state that holds another run is named: who reads the message may have several. */
function namingState(error: unknown, state: string): unknown {
  if (!(error instanceof KindredError) || error.code !== "already_exists") return error;
  return new KindredError(error.code, `${state}: ${error.message}`, { ...error.facts, state }, error);
}

const pauseEvent = (pause: Pause): RunEvent =>
  pause.paused ? { type: "run-paused", trouble: pause.trouble, message: pause.message } : { type: "run-resumed" };

/** Keeps the summary and tells the clients that the run is over. */
async function conclude(
  outcome: RunOutcome,
  server: CoordinatorServer,
  guard: StateGuard,
  { summary }: CoordinatorJob,
): Promise<RunOutcome> {
  if (summary !== undefined) {
    const text = `${JSON.stringify(summaryOf(outcome), null, 1)}\n`;
    await guard.write(() => orTrouble(summary, () => writeAtomically(summary, text)));
  }
  await server.pool.finish("the run is complete");
  return outcome;
}

/** What clients must have. The chat template is that of the first client with rows of messages: the coordinator renders none. */
async function identityOf(
  model: string,
  quantization: Quantization | "none",
  signal: AbortSignal,
): Promise<Partial<ModelIdentity>> {
  const folder = await openModelFolder(await resolveModel(model, { signal }));
  const cache = defaultCache();
  makeCache(cache);
  return {
    quantization,
    modelHash: await modelHash(folder, { cache: join(cache, "model-hashes.json"), quantization }),
    tokenizerHash: await modelTokenizerHash(folder),
  };
}

/** What a deployment's operator wants to know; scores are of each client's own test rows. */
function summaryOf(outcome: RunOutcome): unknown {
  const scored = (score: Score | undefined) =>
    score && {
      loss: score.nllSum / score.tokens,
      accuracy: score.choiceRows > 0 ? score.correct / score.choiceRows : null,
      macroF1: score.macroF1 ?? null,
    };
  const methods = Object.fromEntries(
    [...outcome.methods].map(([method, scores]) => [
      method,
      Object.fromEntries(outcome.clients.map((name) => [name, scored(scores.get(name))])),
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
    cost: outcome.costs.kindred,
    faults: outcome.faults,
  };
}

/** Serves a federation to its end. @throws {KindredError} as `startCoordinator` and `Run.result` */
export async function runCoordinator(
  plan: CoordinatorPlan,
  job: CoordinatorJob,
  context: JobContext,
): Promise<RunOutcome> {
  const { result } = await startCoordinator(plan, job, context);
  return await result;
}
