/**
 * The whole run: learning rate -> (baselines, or what calibrates the estimate) -> estimate -> group -> train -> boost -> weigh ->
 * publish -> score. An ordinary function whose tasks and steps are stored under names: a restarted coordinator runs it again and
 * gets stored results until it reaches what was under way.
 */
import { type AdapterSettings, FULL } from "../../shared/adapters/settings.js";
import type { BlobRef } from "../../shared/wire/types.js";
import type { Evaluate, Score } from "../../tasks/evaluate/message.js";
import type { ReceiveEnsemble } from "../../tasks/receive-ensemble/message.js";
import { realLosses } from "./calibrate.js";
import type { MethodName, PipelineContext } from "./context.js";
import { buildEnsemble, type EnsembleMember, type NamedCurve } from "./ensemble.js";
import { type EstimateOutcome, estimateAndGroup } from "./estimate.js";
import { adapterSweep, chooseLearningRate, fullSweep, type SweepOutcome, type SweepSubject } from "./sweep.js";
import { trainFederated } from "./train.js";

export interface RunOptions {
  /** Groups to train instead of those found: a baseline's. */
  readonly partition?: readonly (readonly string[])[] | undefined;
  /** The base model as the user named it, where the coordinator was told. */
  readonly model: string | null;
  /** Baselines to run beside the method itself. */
  readonly compare: readonly Exclude<MethodName, "kindred">[];
  /** Of training all weights, where that is compared. @default "auto" */
  readonly fullLearningRate?: "auto" | number;
}

/** What `kindred export` writes. */
export interface Published {
  readonly model: string | null;
  readonly adapter: AdapterSettings;
  readonly members: readonly { readonly name: string; readonly values: BlobRef }[];
  /** Pairs of a client and its weights, one a member. */
  readonly weights: readonly (readonly [string, readonly number[]])[];
}

/** The journal's name for what is published. */
export const PUBLISHED = "published";

export interface MethodScores {
  /** Test scores by client. */
  readonly clients: ReadonlyMap<string, Score>;
}

export interface RunOutcome {
  /** Whom the run served, in its order. */
  readonly clients: readonly string[];
  readonly groups: readonly (readonly string[])[];
  readonly estimate: EstimateOutcome;
  readonly sweep: SweepOutcome;
  /** Of training all weights, where that is compared. */
  readonly fullSweep: SweepOutcome | undefined;
  readonly members: readonly EnsembleMember[];
  readonly weights: ReadonlyMap<string, readonly number[]>;
  readonly curves: readonly NamedCurve[];
  readonly methods: ReadonlyMap<MethodName, MethodScores>;
}

export async function runPipeline(
  ctx: PipelineContext,
  { compare, model, partition, fullLearningRate = "auto" }: RunOptions,
): Promise<RunOutcome> {
  const trained = compare.filter((method) => method !== "base" && method !== "full");
  const names = ctx.clients.map(({ name }) => name);
  const sweeping = [...trained, "kindred"] as const;
  const sweep = await ctx.timed(sweeping, () => chooseLearningRate(ctx, sweeping, adapterSweep(ctx)));
  const { learningRate } = sweep;
  const curves: NamedCurve[] = [];

  const { calibrate } = ctx.plan.estimation;
  /** Whose books a training goes to that serves as a baseline and calibrates the estimate. */
  const payersOf = (method: "shared" | "local"): MethodName[] => [
    ...(compare.includes(method) ? [method] : []),
    ...(calibrate ? ["kindred" as const] : []),
  ];
  let shared: BlobRef | undefined;
  const sharedPayers = payersOf("shared");
  if (sharedPayers.length > 0) {
    const stage = ctx.progress.stage("train shared", 0);
    const result = await ctx.timed(sharedPayers, () =>
      trainFederated(ctx, {
        name: names.length === 1 ? "local-0" : "shared",
        stage: "train shared",
        methods: sharedPayers,
        clients: names,
        adapter: ctx.adapterSpec(),
        learningRate,
        onRound: (round, of, loss) =>
          stage.tick(round > 0 ? 1 : 0, { round, of, ...(loss === undefined ? {} : { loss }) }),
      }),
    );
    stage.done();
    shared = result.values;
    if (compare.includes("shared")) curves.push({ name: "shared", unit: result.unit, points: result.curve });
  }
  const local = new Map<string, BlobRef>();
  const localPayers = payersOf("local");
  if (localPayers.length > 0) {
    const stage = ctx.progress.stage("train local", names.length);
    await ctx.timed(localPayers, () =>
      ctx.sideBySide(names, async (client, at) => {
        const { values } = await trainFederated(ctx, {
          name: `local-${at}`,
          stage: "train local",
          methods: localPayers,
          clients: [client],
          adapter: ctx.adapterSpec(),
          learningRate,
        });
        if (values !== undefined) local.set(client, values);
        stage.tick();
      }),
    );
    stage.done();
  }
  const full = compare.includes("full")
    ? await ctx.timed(["full"], () => trainFull(ctx, names, fullSweep(ctx, fullLearningRate)))
    : undefined;
  if (full !== undefined) curves.push({ name: "full", unit: full.trained.unit, points: full.trained.curve });

  const { estimate, groups, ensemble } = await ctx.timed(["kindred"], async () => {
    const real = calibrate ? await realLosses(ctx, { shared, local }) : undefined;
    const estimate = await estimateAndGroup(ctx, real);
    const groups = partition ?? estimate.partition.map((group) => group.map((i) => estimate.clients[i] as string));
    return { estimate, groups, ensemble: await buildEnsemble(ctx, groups, learningRate) };
  });
  await ctx.journal.step(
    PUBLISHED,
    async (): Promise<Published> => ({
      model,
      adapter: ctx.plan.adapter,
      members: ensemble.members.map(({ name, values }) => ({ name, values })),
      weights: [...ensemble.weights].map(([client, weights]) => [client, [...weights]] as const),
    }),
  );
  await deliver(ctx, ensemble.members, ensemble.weights);
  const methods = await scoreMethods(ctx, compare, {
    shared,
    local,
    full: full?.trained.values,
    members: ensemble.members,
    weights: ensemble.weights,
  });
  // A client that could not be scored cannot be reported on.
  const served = estimate.clients.filter((client) => [...methods.values()].every(({ clients }) => clients.has(client)));
  return {
    clients: served,
    groups,
    estimate,
    sweep,
    fullSweep: full?.sweep,
    members: ensemble.members,
    weights: ensemble.weights,
    curves: [...curves, ...ensemble.curves],
    methods,
  };
}

/** The paper's full fine-tuning: federated averaging of all weights over all clients, at a learning rate of its own. */
async function trainFull(ctx: PipelineContext, clients: readonly string[], subject: SweepSubject) {
  const sweep = await chooseLearningRate(ctx, ["full"], subject);
  const stage = ctx.progress.stage("train full", 0);
  const trained = await trainFederated(ctx, {
    name: "full",
    stage: "train full",
    methods: ["full"],
    clients,
    adapter: subject.adapter,
    learningRate: sweep.learningRate,
    onRound: (round, of, loss) => stage.tick(round > 0 ? 1 : 0, { round, of, ...(loss === undefined ? {} : { loss }) }),
  });
  stage.done();
  return { sweep, trained };
}

/** Gives every client its ensemble: the members that it uses. */
async function deliver(
  ctx: PipelineContext,
  members: readonly EnsembleMember[],
  weights: ReadonlyMap<string, readonly number[]>,
): Promise<void> {
  const clients = [...weights.keys()].filter((client) => weights.get(client)?.some((weight) => weight !== 0));
  await ctx.timed(["kindred"], () =>
    ctx.ask(
      "publish",
      ["kindred"],
      "publish",
      clients,
      (client): ReceiveEnsemble => ({
        kind: "receiveEnsemble",
        adapter: ctx.adapterSpec(),
        members: members
          .map(({ name, values }, j) => ({ name, adapter: values, weight: weights.get(client)?.[j] ?? 0 }))
          .filter(({ weight }) => weight !== 0),
      }),
    ),
  );
}

interface Trained {
  readonly shared: BlobRef | undefined;
  readonly local: ReadonlyMap<string, BlobRef>;
  readonly full: BlobRef | undefined;
  readonly members: readonly EnsembleMember[];
  readonly weights: ReadonlyMap<string, readonly number[]>;
}

/**
 * Every method's score on each client's test rows, in one task a client for what adapters make, and one for all weights. It is the
 * report's cost, no method's.
 */
async function scoreMethods(
  ctx: PipelineContext,
  compare: RunOptions["compare"],
  { shared, local, full, members, weights }: Trained,
): Promise<Map<MethodName, MethodScores>> {
  const clients = [...weights.keys()];
  const stage = ctx.progress.stage("score test rows", clients.length * (compare.includes("full") ? 2 : 1));
  const mixturesOf = (client: string): { method: MethodName; parts: { values: BlobRef; weight: number }[] }[] => {
    const of = (values: BlobRef | undefined) => (values === undefined ? [] : [{ values, weight: 1 }]);
    const own = weights.get(client) as readonly number[];
    return [
      ...(compare.includes("base") ? [{ method: "base" as const, parts: [] }] : []),
      ...(compare.includes("shared") ? [{ method: "shared" as const, parts: of(shared) }] : []),
      ...(compare.includes("local") ? [{ method: "local" as const, parts: of(local.get(client)) }] : []),
      {
        method: "kindred" as const,
        parts: members
          .map(({ values }, j) => ({ values, weight: own[j] as number }))
          .filter(({ weight }) => weight !== 0),
      },
    ];
  };
  const results = await ctx.ask(
    "score",
    [],
    "score",
    clients,
    (client): Evaluate => {
      const mixtures = mixturesOf(client);
      const refs = [
        ...new Map(mixtures.flatMap(({ parts }) => parts.map(({ values }) => [values.sha256, values]))).values(),
      ];
      return {
        kind: "evaluate",
        adapter: ctx.adapterSpec(),
        members: refs,
        mixtures: mixtures.map(({ parts }) =>
          parts.length === 0
            ? []
            : refs.map((ref) => parts.find(({ values }) => values.sha256 === ref.sha256)?.weight ?? 0),
        ),
        split: "test",
        examplesLimit: 0,
      };
    },
    () => stage.tick(),
  );
  const methods = new Map<MethodName, { clients: Map<string, Score> }>();
  for (const [client, { scores }] of results) {
    mixturesOf(client).forEach(({ method }, at) => {
      const entry = methods.get(method) ?? { clients: new Map<string, Score>() };
      entry.clients.set(client, scores[at] as Score);
      methods.set(method, entry);
    });
  }
  if (compare.includes("full")) {
    const task: Evaluate = {
      kind: "evaluate",
      adapter: { ...FULL, initSeed: ctx.plan.seed },
      members: full === undefined ? [] : [full],
      mixtures: [full === undefined ? [] : [1]],
      split: "test",
      examplesLimit: 0,
    };
    const results = await ctx.ask(
      "score",
      [],
      "score/full",
      clients,
      () => task,
      () => stage.tick(),
    );
    methods.set("full", { clients: new Map([...results].map(([client, { scores }]) => [client, scores[0] as Score])) });
  }
  stage.done();
  return methods;
}
