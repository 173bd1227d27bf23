/**
 * A whole run in the test's own process: coordinator, run, and clients over real gRPC that really train the tiny model.
 * Clients may have faulty runners, or be controlled by the test.
 */

import { encodeClient } from "../../client/data/encode.js";
import type { EncodedDataset } from "../../client/data/types.js";
import { openModel } from "../../client/models/open.js";
import { runSession, type TaskRunner } from "../../client/session/session.js";
import { ClientWork } from "../../client/tasks/runner.js";
import { CompiledGraphs } from "../../client/tuning/compiled-graphs.js";
import { EventLog, type LoggedEvent, readEvents } from "../../coordinator/events/events.js";
import { openRun, type RunOutcome } from "../../coordinator/open-run.js";
import type { Strategy } from "../../coordinator/strategies/strategy.js";
import { silentLog } from "../../shared/base/log.js";
import { silentProgress } from "../../shared/base/progress.js";
import { loadSimulationConfig } from "../../shared/config/config.js";
import { OnnxRuntime } from "../../shared/runtimes/onnx/runtime.js";
import type { ModelIdentity } from "../../shared/wire/types.js";
import { loadPopulation } from "../../simulations/population/load.js";
import { coordinatorAt, temporaryFolder } from "./federation.js";
import { TINY_MODEL, type TinyClient, writeTinyRun } from "./tiny.js";

export interface TestRun {
  readonly clients: readonly TinyClient[];
  /** By client: makes a runner from the honest one. */
  readonly runners?: Readonly<Record<string, (honest: TaskRunner) => TaskRunner>>;
  /** Clients played by hand: gets the address and what clients must have, and plays until the signal fires. */
  readonly played?: Readonly<
    Record<string, (address: string, identity: ModelIdentity, signal: AbortSignal) => Promise<void>>
  >;
  readonly options?: object;
  /** As `RunOptions` has it. */
  readonly deadlineMs?: number;
  readonly compare?: readonly ("base" | "shared" | "local" | "full")[];
  /** As `RunOptions` has it. */
  readonly strategies?: readonly Strategy[];
  /** As `ServerOptions` has it. */
  readonly silenceMs?: number;
}

export interface TestOutcome {
  readonly outcome: RunOutcome;
  readonly faults: RunOutcome["faults"];
  readonly costs: RunOutcome["costs"];
  /** All that happened, in its order. */
  readonly events: readonly LoggedEvent[];
}

export async function runFederation(run: TestRun): Promise<TestOutcome> {
  const folder = temporaryFolder();
  const stop = new AbortController();
  const config = writeTinyRun(folder.path, run.clients, run.options);
  const plan = await loadSimulationConfig(config);
  const population = await loadPopulation(plan.population as string, { seed: plan.seed });
  const { base, tokenizer } = await openModel(TINY_MODEL, {
    log: silentLog,
    progress: silentProgress,
    signal: stop.signal,
  });
  const identity: ModelIdentity = {
    quantization: "none",
    modelHash: base.hash,
    tokenizerHash: tokenizer.hash,
    chatTemplateHash: null,
    endOfFreeAnswers: null,
    endOfOtherRows: null,
  };
  const runtime = new OnnxRuntime({ threads: 1 });
  const compiledGraphs = new CompiledGraphs(runtime, base);
  const coordinator = await coordinatorAt(`${folder.path}/state`, {
    identity,
    ...(run.silenceMs === undefined ? {} : { silenceMs: run.silenceMs }),
  });
  const datasets = new Map<string, EncodedDataset>();
  for (const rows of population.clients)
    datasets.set(rows.name, await encodeClient(rows, tokenizer, { maxTokens: base.architecture.context }));
  const sessions = population.clients.map((rows) => {
    const played = run.played?.[rows.name];
    if (played) return played(coordinator.address, identity, stop.signal);
    const honest = new ClientWork({ compiledGraphs, dataset: () => datasets.get(rows.name)!, full: true });
    return runSession({
      coordinator: coordinator.address,
      name: rows.name,
      identity,
      rows: { train: rows.train.length, validation: rows.validation.length, test: rows.test.length },
      runner: run.runners?.[rows.name]?.(honest) ?? honest,
      signal: stop.signal,
      log: silentLog,
    });
  });
  for (const session of sessions) session.catch(() => undefined);
  try {
    const { state } = coordinator;
    const events = new EventLog(state.records);
    const outcome = await openRun({
      plan,
      members: { names: population.clients.map(({ name }) => name).sort() },
      pool: coordinator.pool,
      state,
      runtime,
      events,
      compare: run.compare ?? ["base"],
      model: TINY_MODEL,
      ...(run.strategies === undefined ? {} : { strategies: run.strategies }),
      ...(run.deadlineMs === undefined ? {} : { deadlineMs: run.deadlineMs }),
    }).result;
    await events.flush();
    const happened: LoggedEvent[] = [];
    for await (const event of readEvents(state.records)) happened.push(event);
    return { outcome, faults: outcome.faults, costs: outcome.costs, events: happened };
  } finally {
    stop.abort();
    await Promise.allSettled(sessions);
    await coordinator.close();
    await compiledGraphs.close();
    await runtime.close();
    folder.remove();
  }
}
