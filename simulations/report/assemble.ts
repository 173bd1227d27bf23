/** Assembles a report from a run's outcome and events. */
import type { EncodedDataset } from "../../client/data/types.js";
import type { BaseModel } from "../../client/models/base.js";
import { adjustedRandIndex } from "../../coordinator/grouping/rand-index.js";
import type { RunOutcome } from "../../coordinator/open-run.js";
import { peakRssBytes } from "../../shared/base/peak.js";
import type { SimulationPlan } from "../../shared/config/config.js";
import type { Population } from "../population/load.js";
import { answersOf, examplesOf } from "./answers.js";
import { forecastsOf } from "./forecasts.js";
import type { EventFacts } from "./from-events.js";
import { measuredScores, type ScoredTestRows } from "./measured.js";
import { byClient, type Json, METHODS, type MethodCost, type MethodName, type Planted, type Report } from "./types.js";

export interface ReportSources {
  readonly plan: SimulationPlan;
  readonly outcome: RunOutcome;
  /** Facts of the run's events. */
  readonly facts: EventFacts;
  readonly population: Population;
  /** The population's rows as tokens, in its order. */
  readonly datasets: readonly EncodedDataset[];
  /** Of the clients whose test rows were kept. */
  readonly testRows: readonly ScoredTestRows[];
  readonly base: BaseModel;
  readonly versions: Readonly<Record<string, string>>;
  readonly command?: string;
}

export function assembleReport(sources: ReportSources): Report {
  const { plan, outcome, facts, population, testRows, base, versions, command } = sources;
  const { clients, estimate, sweep, fullSweep } = outcome;
  const served = new Set(clients);
  const left = outcome.groups.map((group) => group.filter((name) => served.has(name)));
  const groups = left.filter((group) => group.length > 0);
  // A group that lost all its clients is not shown; its members are listed with the first group shown.
  const shown = left.map((group) => Math.max(0, groups.indexOf(group)));
  const order = clients.map((name) => estimate.clients.indexOf(name));
  const cost: Partial<Record<MethodName, MethodCost>> = {};
  for (const method of METHODS) if (outcome.methods.has(method)) cost[method] = outcome.costs[method];
  const { methods, gains, answerLossInterval } = measuredScores(
    { clients, groups },
    outcome.methods,
    testRows,
    plan.seed,
  );
  const { layers, hidden, vocabulary } = base.architecture;
  return {
    title: plan.title,
    clients,
    groups,
    affinity: order.map((i) => order.map((j) => estimate.affinity[i]![j]!)),
    methods,
    gains,
    forecasts: forecastsOf(outcome, methods, answerLossInterval),
    boosting: outcome.boosting.map(({ name, group, step, clients: own }) => ({
      name,
      group: shown[group] as number,
      step,
      clients: byClient(own.map(({ client, before, after }) => [client, { before, after }])),
    })),
    answers: answersOf(testRows),
    examples: examplesOf(testRows, plan.report.examples, plan.seed),
    planted: planted(population, clients, groups),
    cost,
    learningRate: sweep.learningRate,
    seed: plan.seed,
    versions,
    peakRssBytes: peakRssBytes(),
    curves: outcome.curves,
    members: outcome.members.map(({ name, group, kind }) => ({ name, group: shown[group] as number, kind })),
    weights: byClient(clients.map((name) => [name, outcome.weights.get(name) as readonly number[]])),
    grouping: {
      candidates: estimate.candidates,
      reason: estimate.reason,
      measure: "minus the mean estimated loss on held-out rows, nats per example",
    },
    sweep: sweep.trials,
    ...(fullSweep === undefined ? {} : { full: { learningRate: fullSweep.learningRate, sweep: fullSweep.trials } }),
    estimation: {
      subsets: estimate.facts.subsets,
      subsetSize: estimate.facts.subsetSize,
      dim: estimate.facts.dim,
      pairCoverage: estimate.facts.pairCoverage,
      standardError: estimate.facts.standardError,
      facts: {
        ...(estimate.facts.axes < estimate.facts.dim && { "leading axes kept per sketch": estimate.facts.axes }),
        margin: estimate.facts.twoTerms ? "format and choice" : "answer over the vocabulary",
        lambda: estimate.facts.lambda,
        folds: estimate.facts.folds,
        "largest gradient norm": estimate.facts.largestGradientNorm,
      },
    },
    faults: facts.faults,
    stages: facts.stages,
    config: plan as unknown as Json,
    model: {
      name: plan.modelName,
      hash: base.hash,
      parameters: base.parameters,
      facts: { layers, hidden, vocabulary },
    },
    rows: byClient(clients.map((name) => [name, outcome.rows.get(name)!])),
    tokens: tokensOf(sources),
    wallSeconds: facts.wallSeconds,
    ...(command === undefined ? {} : { command }),
  };
}

/** Tokens of each client's rows, by split. */
function tokensOf({ outcome, population, datasets }: ReportSources): NonNullable<Report["tokens"]> {
  const places = new Map(population.clients.map(({ name }, at) => [name, at]));
  const count = (rows: EncodedDataset["test"]): number => rows.reduce((sum, { tokens }) => sum + tokens.length, 0);
  return byClient(
    outcome.clients.map((name) => {
      const { train, validation, test } = datasets[places.get(name) as number]!;
      return [name, { train: count(train), validation: count(validation), test: count(test) }];
    }),
  );
}

function planted(
  population: Population,
  clients: readonly string[],
  found: readonly (readonly string[])[],
): Planted | undefined {
  if (population.planted === undefined) return undefined;
  const { names, groups } = population.planted;
  const served = groups
    .map((group, at) => ({ name: names[at] as string, clients: group.filter((client) => clients.includes(client)) }))
    .filter((group) => group.clients.length > 0);
  const labels = (partition: readonly (readonly string[])[]): number[] =>
    clients.map((client) => partition.findIndex((group) => group.includes(client)));
  const adjusted = adjustedRandIndex(labels(found), labels(served.map((group) => group.clients)));
  return {
    groups: served.map((group) => group.clients),
    names: served.map((group) => group.name),
    adjustedRandIndex: adjusted,
  };
}
