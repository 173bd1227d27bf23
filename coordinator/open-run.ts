/**
 * The one composition root of a run. `kindred coordinator`, `kindred simulate`, the library and the tests use it.
 *
 * A run is an ordinary function: learning rate, then the methods in their order, then publishing, then scoring. Its tasks and steps are
 * stored under names. A restarted coordinator runs it again and gets the stored results, until it reaches what was under way.
 */
import { setMaxListeners } from "node:events";
import { asKindredError, KindredError } from "../shared/base/errors.js";
import { firstDifference } from "../shared/base/json.js";
import type { RunPlan } from "../shared/config/config.js";
import { METHODS, type MethodName } from "../shared/config/enumerations.js";
import type { Runtime } from "../shared/runtimes/types.js";
import type { AdapterSpec, BlobRef, RowCounts } from "../shared/wire/types.js";
import type { ReceiveEnsemble } from "../tasks/receive-ensemble/message.js";
import { PUBLISHED, type Published } from "./ensemble/published.js";
import { beginStage, type EventSink, silentEvents } from "./events/events.js";
import { baseMethod } from "./methods/base.js";
import { fullMethod } from "./methods/full.js";
import type { EstimateOutcome } from "./methods/kindred/estimate.js";
import { checkGrouping, checkSampling } from "./methods/kindred/plan-checks.js";
import { type KindredParts, kindredMethod } from "./methods/kindred.js";
import { localMethod } from "./methods/local.js";
import type {
  BoostingStep,
  EnsembleMember,
  KindredTrained,
  Methods,
  NamedCurve,
  Trained,
  TrainedBy,
} from "./methods/method.js";
import { type MethodScores, scoreMethods } from "./methods/scoring.js";
import { sharedMethod } from "./methods/shared.js";
import type { ClientInfo, ClientPool } from "./roster/pool.js";
import { adapterSweep, chooseLearningRate, fullSweep, type SweepOutcome } from "./rounds/sweep.js";
import { Books, type MethodCosts } from "./run/books.js";
import { Cohort, type FaultNote } from "./run/cohort.js";
import { Journal } from "./run/journal.js";
import { Retention } from "./run/retention.js";
import type { StateGuard } from "./storage/guard.js";
import type { Records } from "./storage/types.js";
import { strategyOf } from "./strategies/registry.js";
import type { Strategy } from "./strategies/strategy.js";

export interface RunOptions {
  readonly plan: RunPlan;
  /** Who the clients are: a fixed list in the order of the reports, or whoever is enrolled once there are so many. */
  readonly members: { readonly names: readonly string[] } | { readonly atLeast: number };
  readonly pool: ClientPool;
  /** The run's journal. */
  readonly state: { readonly records: Pick<Records, "memo" | "saveMemo"> };
  /** Keep updates and the ends of rounds in the state after the run, for studies of them. @default false */
  readonly keepUpdates?: boolean;
  /** Tells where a part of the state was lost and forgotten: the run then goes through its steps again. @default nothing is lost */
  readonly guard?: Pick<StateGuard, "watchRepairs">;
  /** Runs the coordinator's own matrix products. */
  readonly runtime: Runtime;
  /** @default discards them */
  readonly events?: EventSink;
  /** Baselines to run beside the method itself. @default none */
  readonly compare?: readonly Exclude<MethodName, "kindred">[];
  /** The base model as the user named it. @default null */
  readonly model?: string | null;
  /** Of training all weights, where that is compared. @default "auto" */
  readonly fullLearningRate?: "auto" | number;
  /** Groups to train instead of those found, by clients' names. */
  readonly partition?: readonly (readonly string[])[] | undefined;
  /** Strategies of the program's own, which `training.strategy: {kind: custom}` names. @default none */
  readonly strategies?: readonly Strategy[];
  /** A task fails when its progress has not grown for so long, milliseconds; 0: never. @default the pool's */
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal | undefined;
}

/** A run under way. */
export interface Run {
  /** Rejects with a `KindredError`: `cancelled` after `abort`, `already_exists` where the state holds a run of another plan. */
  readonly result: Promise<RunOutcome>;
  /** Stops the run. It can be resumed from its state. */
  abort(): void;
}

export interface RunOutcome {
  /** The clients that the run served, in its order. */
  readonly clients: readonly string[];
  readonly rows: ReadonlyMap<string, RowCounts>;
  readonly groups: readonly (readonly string[])[];
  readonly estimate: EstimateOutcome;
  readonly sweep: SweepOutcome;
  /** Of training all weights, where that is compared. */
  readonly fullSweep: SweepOutcome | undefined;
  readonly members: readonly EnsembleMember[];
  /** In the order of the steps. */
  readonly boosting: readonly BoostingStep[];
  /** Client -> one weight per member. */
  readonly weights: ReadonlyMap<string, readonly number[]>;
  readonly curves: readonly NamedCurve[];
  /** Test scores of each method. */
  readonly methods: ReadonlyMap<MethodName, MethodScores>;
  readonly costs: MethodCosts;
  readonly faults: readonly FaultNote[];
}

/** Starts a run, or takes up the one that the state holds. */
export function openRun(options: RunOptions): Run {
  const abort = new AbortController();
  setMaxListeners(0, abort.signal); // every task under way listens
  const stop = (): void => abort.abort();
  if (options.signal?.aborted) stop();
  options.signal?.addEventListener("abort", stop, { once: true });
  const given = options.events ?? silentEvents;
  let begun = false;
  const events: EventSink = {
    emit(event) {
      begun ||= event.type === "run-started";
      given.emit(event);
    },
  };
  const result = runUntilSound(options, events, abort.signal)
    .catch((error: unknown) => {
      const { code, message } = asKindredError(error);
      // A run that is refused before it begins is not the run that the state holds.
      if (begun) events.emit({ type: "run-stopped", code, message: code === "cancelled" ? "stopped" : message });
      throw error;
    })
    .finally(() => options.signal?.removeEventListener("abort", stop));
  return { result, abort: stop };
}

/**
 * Runs; and again from the beginning where a stored part was lost meanwhile. Stored results come back at once, and what is lost is made
 * again, as after a restart.
 */
async function runUntilSound(options: RunOptions, events: EventSink, signal: AbortSignal): Promise<RunOutcome> {
  for (;;) {
    const attempt = new AbortController();
    const stop = AbortSignal.any([signal, attempt.signal]);
    setMaxListeners(0, stop); // every task under way listens
    const end = options.guard?.watchRepairs(() => attempt.abort());
    try {
      return await run(options, events, stop);
    } catch (error) {
      if (signal.aborted || !attempt.signal.aborted) throw error;
    } finally {
      end?.();
    }
  }
}

async function run(options: RunOptions, events: EventSink, signal: AbortSignal): Promise<RunOutcome> {
  const { plan, runtime, compare = [], model = null } = options;
  const strategy = strategyOf(plan.training.strategy, options.strategies);
  const retention = new Retention();
  const journal = new Journal(options.state.records, retention);
  const clients = await membersOf(options, journal, signal);
  events.emit({ type: "run-started", model, clients: clients.map(({ name, rows }) => ({ name, rows })) });
  const { pool, deadlineMs } = options;
  const cohort = new Cohort({ pool, clients, events, retention, signal, deadlineMs });
  const books = new Books();
  const shapes: KindredParts["shapes"] = new Map();
  const parts: KindredParts = { plan, cohort, books, journal, events, retention, runtime, signal, shapes, strategy };
  const adapter: AdapterSpec = { ...plan.adapter, initSeed: plan.seed };
  const methods: Methods = {
    base: baseMethod(adapter),
    shared: sharedMethod(parts, adapter),
    local: localMethod(parts, adapter),
    full: fullMethod(parts, fullSweep(plan, options.fullLearningRate ?? "auto")),
    kindred: kindredMethod(parts, adapter, options.partition),
  };
  const wanted: readonly MethodName[] = [...compare, "kindred"];
  const sweeping = METHODS.filter((name) => wanted.includes(name) && methods[name].sweeps);
  const sweep = await books.time(sweeping, "sweep", () => chooseLearningRate(parts, sweeping, adapterSweep(plan)));
  const trained = await trainMethods(methods, wanted, sweep.learningRate);
  const { kindred } = trained;
  if (kindred === undefined) throw new KindredError("internal", "a run without its own method");
  await publish(parts, kindred, model);
  const compared = METHODS.flatMap((name): [MethodName, Trained][] => {
    const method = trained[name];
    return method !== undefined && wanted.includes(name) ? [[name, method]] : [];
  });
  const scores = await scoreMethods(parts, new Map(compared), [...kindred.weights.keys()]);
  // Every result is stored by now, and a run that resumes reads none of these.
  if (!options.keepUpdates) await removeAll(pool.blobs, retention.surplus);
  events.emit({ type: "run-finished", groups: kindred.groups.length, members: kindred.members.length });
  const { estimate, groups, members, boosting, weights } = kindred;
  return {
    // A client that could not be scored cannot be reported on.
    clients: estimate.clients.filter((client) => [...scores.values()].every((ofMethod) => ofMethod.has(client))),
    rows: new Map(clients.map(({ name, rows }) => [name, rows])),
    groups,
    estimate,
    sweep,
    fullSweep: trained.full?.sweep,
    members,
    boosting,
    weights,
    curves: compared.flatMap(([, { curves }]) => curves),
    methods: scores,
    costs: books.costs,
    faults: cohort.faults,
  };
}

/**
 * The run's clients and their rows, settled once: a resumed run has the same clients in the same order. A client that comes back with
 * other rows changes no schedule, whose tasks would then be others under the same names.
 */
async function membersOf(
  { plan, members, pool }: RunOptions,
  journal: Journal,
  signal: AbortSignal,
): Promise<ClientInfo[]> {
  const here: unknown = JSON.parse(JSON.stringify(plan));
  const difference = firstDifference(await journal.step("plan", async () => here), here);
  if (difference !== undefined) {
    throw new KindredError(
      "already_exists",
      `holds a run of another configuration: ${difference}; go on with the configuration and the version of Kindred that it was started with, or give another state`,
    );
  }
  const count = "names" in members ? members.names.length : members.atLeast;
  checkSampling(plan, count);
  const enrolled = await pool.whenEnrolled(count, signal);
  const names = await journal.step("members", async () =>
    "names" in members ? [...members.names] : enrolled.map(({ name }) => name).sort(),
  );
  checkGrouping(plan, names);
  const known = new Map((await pool.clients()).map((client) => [client.name, client]));
  const clients = names.map((name) => {
    const client = known.get(name);
    if (client === undefined) throw new KindredError("not_found", `client ${name} is not enrolled`, { client: name });
    return client;
  });
  const rows = await journal.step("rows", async () => clients.map((client) => ({ ...client.rows })));
  return clients.map((client, at) => ({ ...client, rows: rows[at] as RowCounts }));
}

async function removeAll(blobs: ClientPool["blobs"], refs: readonly BlobRef[]): Promise<void> {
  for (const ref of refs) if (await blobs.has(ref)) await blobs.remove(ref);
}

/** Trains the wanted methods and those that they use, in the order of reports; each is trained once. */
async function trainMethods(
  methods: Methods,
  wanted: readonly MethodName[],
  learningRate: number,
): Promise<Partial<TrainedBy>> {
  const usersOf = (name: MethodName): MethodName[] =>
    wanted.filter((user) => user === name || methods[user].uses.includes(name));
  let trained: Partial<TrainedBy> = {};
  for (const name of METHODS) {
    const users = usersOf(name);
    if (users.length === 0) continue;
    const payers = METHODS.filter((method) => users.includes(method));
    trained = { ...trained, [name]: await methods[name].train({ payers, learningRate, trained }) };
  }
  return trained;
}

/** Publishes the ensemble, and gives every client the members that it uses. */
async function publish(
  { plan, cohort, books, journal, events }: KindredParts,
  kindred: KindredTrained,
  model: string | null,
): Promise<void> {
  const { adapter, members, weights } = kindred;
  await journal.step(
    PUBLISHED,
    async (): Promise<Published> => ({
      model,
      adapter: plan.adapter,
      members: members.map(({ name, values }) => ({ name, values })),
      weights: [...weights].map(([client, own]) => [client, [...own]] as const),
    }),
  );
  const clients = [...weights.keys()].filter((client) => kindred.mixture(client).length > 0);
  const stage = beginStage(events, "publish", clients.length);
  const { charges } = await books.time(["kindred"], "publish", () =>
    cohort.ask({
      stage: "publish",
      key: "publish",
      clients,
      onShare: (share, answered) => stage.answered(share, answered, clients.length),
      taskOf: (client): ReceiveEnsemble => ({
        kind: "receiveEnsemble",
        adapter: adapter as AdapterSpec,
        members: members
          .map(({ name, values }, j) => ({ name, adapter: values, weight: weights.get(client)?.[j] ?? 0 }))
          .filter(({ weight }) => weight !== 0),
      }),
    }),
  );
  books.charge(["kindred"], "publish", charges);
  stage.end();
}
