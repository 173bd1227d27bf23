/** Assembles a report from a run's outcome and events. */
import type { BaseModel } from "../../client/models/base.js";
import type { Forecast } from "../../coordinator/estimation/forecast.js";
import { adjustedRandIndex } from "../../coordinator/grouping/rand-index.js";
import type { RunOutcome } from "../../coordinator/open-run.js";
import { peakRssBytes } from "../../shared/base/peak.js";
import type { SimulationPlan } from "../../shared/config/config.js";
import type { Score } from "../../tasks/evaluate/message.js";
import type { Population } from "../population/load.js";
import type { EventFacts } from "./from-events.js";
import {
  byClient,
  type Json,
  METHODS,
  type MethodCost,
  type MethodName,
  type MethodResult,
  type Planted,
  type Report,
  type TestScore,
} from "./types.js";

export interface ReportSources {
  readonly plan: SimulationPlan;
  readonly outcome: RunOutcome;
  /** Facts of the run's events. */
  readonly facts: EventFacts;
  readonly population: Population;
  readonly base: BaseModel;
  readonly versions: Readonly<Record<string, string>>;
  readonly command?: string;
}

export function assembleReport({ plan, outcome, facts, population, base, versions, command }: ReportSources): Report {
  const { clients, estimate, sweep, fullSweep } = outcome;
  const served = new Set(clients);
  const left = outcome.groups.map((group) => group.filter((name) => served.has(name)));
  const groups = left.filter((group) => group.length > 0);
  // A group that lost all its clients is not shown; its members are listed with the first group shown.
  const shown = left.map((group) => Math.max(0, groups.indexOf(group)));
  const order = clients.map((name) => estimate.clients.indexOf(name));
  const methods: Partial<Record<MethodName, MethodResult>> = {};
  const cost: Partial<Record<MethodName, MethodCost>> = {};
  for (const method of METHODS) {
    const scores = outcome.methods.get(method);
    if (scores === undefined) continue;
    methods[method] = methodResult(clients.map((name) => [name, scores.get(name) as Score]));
    cost[method] = outcome.costs[method];
  }
  const { layers, hidden, vocabulary } = base.architecture;
  return {
    title: plan.title,
    clients,
    groups,
    affinity: order.map((i) => order.map((j) => estimate.affinity[i]![j]!)),
    methods,
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
      candidates: estimate.candidates.map(({ label, groups, judged, chosen }) => ({ label, groups, judged, chosen })),
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
      facts: {
        ...(estimate.facts.axes < estimate.facts.dim && { "leading axes kept per sketch": estimate.facts.axes }),
        margin: estimate.facts.twoTerms ? "format and choice" : "answer over the vocabulary",
        lambda: estimate.facts.lambda,
        folds: estimate.facts.folds,
        "standard error of an affinity, by the choice of subsets": estimate.facts.standardError,
        ...forecastFacts(estimate.facts.forecast),
        "largest gradient norm": estimate.facts.largestGradientNorm,
      },
    },
    faults: facts.faults,
    stages: facts.stages,
    config: plan as unknown as Json,
    model: { name: plan.model, hash: base.hash, parameters: base.parameters, facts: { layers, hidden, vocabulary } },
    rows: byClient(clients.map((name) => [name, outcome.rows.get(name)!])),
    ...(command === undefined ? {} : { command }),
  };
}

function forecastFacts({ loss, accuracy, macroF1 }: Forecast): Readonly<Record<string, number | null>> {
  return {
    "estimated loss in the groups": loss.value,
    "standard error of the estimated loss": loss.standardError,
    ...(accuracy && {
      "estimated accuracy in the groups": accuracy.value,
      "standard error of the estimated accuracy": accuracy.standardError,
    }),
    ...(macroF1 && {
      "estimated macro-F1 in the groups": macroF1.value,
      "standard error of the estimated macro-F1": macroF1.standardError,
    }),
  };
}

function methodResult(entries: readonly (readonly [string, Score])[]): MethodResult {
  const scores = entries.map(
    ([name, { nllSum, tokens, correct, choiceRows, macroF1 }]): readonly [string, TestScore] => [
      name,
      {
        loss: nllSum / tokens,
        accuracy: choiceRows > 0 ? correct / choiceRows : null,
        ...(macroF1 === undefined ? {} : { macroF1 }),
      },
    ],
  );
  const accuracies = scores.flatMap(([, { accuracy }]) => (accuracy === null ? [] : [accuracy]));
  const f1s = scores.flatMap(([, { macroF1 }]) => macroF1 ?? []);
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  return {
    clients: byClient(scores),
    mean: {
      loss: mean(scores.map(([, { loss }]) => loss)),
      accuracy: accuracies.length > 0 ? mean(accuracies) : null,
      ...(f1s.length > 0 ? { macroF1: mean(f1s) } : {}),
    },
  };
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
