/**
 * `kindred simulate`: a coordinator and all clients of a population in one process, over real gRPC on the loopback. Clients
 * share one engine and one copy of the base model; everything else is what a deployment runs.
 */

import { createHash } from "node:crypto";
import { setMaxListeners } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { EncodedDataset } from "../client/data/types.js";
import type { OpenedModel } from "../client/models/open.js";
import { runSession, type TaskRunner } from "../client/session/session.js";
import { ClientWork } from "../client/tasks/runner.js";
import { CompiledGraphs } from "../client/tuning/compiled-graphs.js";
import { adapterLayout } from "../client/tuning/kinds.js";
import { budgetOf } from "../client/tuning/memory.js";
import { EventLog, type RunEventListener, readEvents } from "../coordinator/events/events.js";
import { logReader } from "../coordinator/events/follow.js";
import { progressReader } from "../coordinator/events/stage-progress.js";
import { checkGrouping, checkSampling } from "../coordinator/methods/kindred/plan-checks.js";
import { openRun, type RunOutcome } from "../coordinator/open-run.js";
import { serveCoordinator } from "../coordinator/server/server.js";
import { StateGuard } from "../coordinator/storage/guard.js";
import { openState } from "../coordinator/storage/open.js";
import { strategyOf } from "../coordinator/strategies/registry.js";
import type { Strategy } from "../coordinator/strategies/strategy.js";
import { FULL } from "../shared/adapters/settings.js";
import { asset } from "../shared/base/assets.js";
import { writeAtomically } from "../shared/base/atomic.js";
import type { JobContext } from "../shared/base/command.js";
import { diskTrouble } from "../shared/base/disk.js";
import { asKindredError, KindredError } from "../shared/base/errors.js";
import { detailsOf, type Logger } from "../shared/base/log.js";
import { Semaphore } from "../shared/base/semaphore.js";
import type { SimulationPlan } from "../shared/config/config.js";
import { openRuntime } from "../shared/runtimes/choose.js";
import { onnxInstallation, tfjsVersion } from "../shared/runtimes/install/installed.js";
import type { Runtime } from "../shared/runtimes/types.js";
import { transformsOf } from "../shared/transforms/names.js";
import type { ModelIdentity } from "../shared/wire/types.js";
import type { Population } from "./population/load.js";
import { encodePopulation, openPopulation } from "./population/open.js";
import { assembleReport } from "./report/assemble.js";
import { checkReport } from "./report/check.js";
import { affinityCsv, clientsCsv } from "./report/csv.js";
import { type EventFacts, eventFactsOf } from "./report/from-events.js";
import { renderReport } from "./report/html.js";
import type { Report } from "./report/types.js";
import { checkFolder, claimFolder, inputsOf, type RunFolder } from "./run-folder.js";
import { keepTestRows, keptRows } from "./test-rows.js";

export interface SimulationRun extends JobContext, RunFolder {
  /** The file that the plan was read from, for messages. */
  readonly source?: string;
  /** Bytes that the process may take; no limit unless given. Not of the plan: a run may go on under another one. */
  readonly memory?: number;
  /** The command that makes this run again, for the report. */
  readonly command?: string;
  /** The clients' rows, in place of those that the plan names. */
  readonly population?: Population;
  /** Strategies of the program's own, which `training.strategy: {kind: custom}` names. */
  readonly strategies?: readonly Strategy[];
  /** Told of everything that happens in the run. */
  readonly onEvent?: RunEventListener;
  /** Groups to train instead of those found. */
  readonly partition?: readonly (readonly string[])[];
  /** As `RunOptions` has it. */
  readonly keepUpdates?: boolean;
}

/**
 * Runs or resumes a simulation and writes its report.
 * @throws {KindredError} `already_exists` for a finished run or one of another configuration, without `force`
 */
export async function runSimulation(plan: SimulationPlan, run: SimulationRun): Promise<Report> {
  const begun = await checkFolder(plan, run);
  const opened = await openPopulation(plan, run);
  const { population, model } = opened;
  checkPlan(plan, run, population, model);
  const datasets = await encodePopulation(plan, opened, run.log);
  const runtime = await openRuntime({ ...plan.runtime, ...(run.memory === undefined ? {} : { memory: run.memory }) });
  try {
    await claimFolder(plan, run, begun, inputsOf(population, model));
    const { outcome, facts } = await federate(plan, run, { population, datasets, model }, runtime);
    const report = assembleReport({
      plan,
      outcome,
      facts,
      population,
      datasets,
      testRows: await keptRows(clientsFolder(run), population, outcome),
      base: model.base,
      versions: versions(runtime),
      ...(run.command === undefined ? {} : { command: run.command }),
    });
    // The report itself first: whatever fails afterwards, the run's result is there.
    await writeAtomically(join(run.out, "clients.csv"), clientsCsv(report));
    await writeAtomically(join(run.out, "affinity.csv"), affinityCsv(report));
    await writeAtomically(join(run.out, "report.html"), renderReport(report, facts.startedAt));
    await writeAtomically(join(run.out, "report.json"), `${JSON.stringify(report, null, 1)}\n`);
    return checkReport(report);
  } finally {
    await runtime.close();
  }
}

/** What of the configuration does not fit this model or so many clients, said before any client works for it. */
function checkPlan(
  plan: SimulationPlan,
  { source, strategies }: SimulationRun,
  { clients }: Population,
  { base }: OpenedModel,
): void {
  try {
    adapterLayout(base, plan.adapter);
    if (plan.compare.includes("full")) adapterLayout(base, FULL);
    strategyOf(plan.training.strategy, strategies);
    checkSampling(plan, clients.length);
    checkGrouping(
      plan,
      clients.map(({ name }) => name),
    );
  } catch (error) {
    if (!(error instanceof KindredError) || source === undefined) throw error;
    throw new KindredError(error.code, `${source}: ${error.message}`, error.facts, error);
  }
}

/** Clients with their rows as tokens, and the model that all have. */
interface Federation {
  readonly population: Population;
  /** In the population's order. */
  readonly datasets: readonly EncodedDataset[];
  readonly model: OpenedModel;
}

/** Starts coordinator and clients, runs the whole method, and ends both. */
async function federate(
  plan: SimulationPlan,
  run: SimulationRun,
  { population, datasets, model: { base, tokenizer } }: Federation,
  runtime: Runtime,
): Promise<{ outcome: RunOutcome; facts: EventFacts }> {
  const closing: (() => Promise<unknown>)[] = [];
  try {
    const compiledGraphs = new CompiledGraphs(runtime, base, budgetOf(run.memory, base, run.log, { trains: true }));
    closing.push(() => compiledGraphs.close());
    // All clients share the model and the plan, and so the chat template and the ends of rows.
    const identity: ModelIdentity = {
      quantization: plan.base.quantization,
      modelHash: base.hash,
      tokenizerHash: tokenizer.hash,
      chatTemplateHash: null,
      endOfFreeAnswers: null,
      endOfOtherRows: null,
    };
    const opened = await openState(join(run.out, "state"));
    closing.push(() => opened.close());
    // Nobody watches a simulation: it ends where its disk is full, and says how it goes on.
    const guard = new StateGuard(opened, { waits: false, log: run.log });
    const { state } = guard;
    const events = new EventLog(state.records);
    closing.push(() => events.flush());
    // Hundreds of clients come and go in one process: who enrolled is of interest only where something is wrong.
    const log = detailsOf(run.log);
    const { onEvent, progress } = run;
    await events.subscribe(progressReader(progress), logReader(log), ...(onEvent === undefined ? [] : [onEvent]));
    const transforms = transformsOf(plan.transport.compression);
    const server = await serveCoordinator({
      listen: "127.0.0.1:0",
      state,
      guard,
      events,
      identity,
      transforms,
      log,
    });
    closing.push(() => server.close());
    const cohort = startClients(plan, population, server.address, {
      folder: clientsFolder(run),
      identity,
      compiledGraphs,
      datasets,
      log,
      signal: AbortSignal.any([run.signal, guard.failed]),
    });
    closing.push(() => cohort.close());
    const { result } = openRun({
      plan,
      members: { names: population.clients.map(({ name }) => name) },
      pool: server.pool,
      state,
      guard,
      runtime,
      events,
      ...(run.strategies === undefined ? {} : { strategies: run.strategies }),
      compare: plan.compare,
      model: plan.modelName,
      partition: run.partition,
      ...(run.keepUpdates === undefined ? {} : { keepUpdates: run.keepUpdates }),
      fullLearningRate: plan.full.learningRate,
      deadlineMs: 0,
      signal: cohort.signal,
    });
    const outcome = await result.catch((error: unknown) => {
      throw asKindredError(guard.failed.reason ?? cohort.fault() ?? error);
    });
    await server.pool.finish("the run is complete");
    await cohort.done;
    await events.flush();
    return { outcome, facts: await eventFactsOf(readEvents(state.records), outcome.clients) };
  } finally {
    for (const end of closing.reverse()) await end();
  }
}

/** The state of each client is a folder in it, named by the client's place in the population. */
const clientsFolder = ({ out }: SimulationRun): string => join(out, "state", "clients");

interface SimulatedClients {
  /** Fires when the run is to stop, or a client broke. */
  readonly signal: AbortSignal;
  /** Why a client broke. */
  fault(): unknown;
  /** Resolves when all clients have gone home. */
  readonly done: Promise<unknown>;
  close(): Promise<void>;
}

interface ClientEngine {
  /** Each client's own state is a folder below it. */
  readonly folder: string;
  readonly identity: ModelIdentity;
  readonly compiledGraphs: CompiledGraphs;
  readonly datasets: readonly EncodedDataset[];
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** All clients of the population. They share one engine. */
function startClients(
  plan: SimulationPlan,
  { clients }: Population,
  coordinator: string,
  { folder, identity, compiledGraphs, datasets, log, signal }: ClientEngine,
): SimulatedClients {
  const stop = new AbortController();
  setMaxListeners(0, stop.signal); // every client and every task under way listens
  const abort = (): void => stop.abort();
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort, { once: true });
  const gate = new Semaphore(plan.concurrency);
  let broken: unknown;
  const sessions = clients.map((rows, at) => {
    const stateDir = join(folder, String(at));
    const onTestRows = keepTestRows(stateDir);
    const work = new ClientWork({ compiledGraphs, dataset: () => datasets[at]!, full: true, onTestRows });
    const runner: TaskRunner = { run: (task, io) => gate.run(() => work.run(task, io)) };
    return runSession({
      coordinator,
      name: rows.name,
      // The same in a resumed run, so that the client is known again.
      instanceId: createHash("sha256").update(`simulated\n${plan.seed}\n${rows.name}`).digest("hex"),
      identity,
      stateDir,
      rows: { train: rows.train.length, validation: rows.validation.length, test: rows.test.length },
      runner,
      endsWith: (error) => diskTrouble(error) !== undefined, // its disk is the coordinator's
      signal: stop.signal,
      log,
    }).catch((error: unknown) => {
      if (!stop.signal.aborted) {
        broken ??= error;
        stop.abort();
      }
    });
  });
  const done = Promise.all(sessions);
  return {
    signal: stop.signal,
    fault: () => broken,
    done,
    async close() {
      signal.removeEventListener("abort", abort);
      abort();
      await done;
    },
  };
}

function versions({ name }: Runtime): Record<string, string> {
  const own = JSON.parse(readFileSync(asset("package.json"), "utf8")) as { version: string };
  const [engine, version] = name.startsWith("onnx-")
    ? ["onnxruntime", onnxInstallation().version]
    : ["tfjs", tfjsVersion(name.startsWith("tfjs-node"))];
  return { kindred: own.version, node: process.versions.node, runtime: name, [engine as string]: version ?? "unknown" };
}
