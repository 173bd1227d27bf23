/**
 * Reports made from a seed, with the shape of real ones: groups whose clients help each other, gains and some losses. Scores, intervals
 * and answers are computed from single test rows by the report's own code.
 */
import type { Example } from "../../../client/data/types.js";
import type { RowScore } from "../../../client/tuning/scoring.js";
import { Guesses } from "../../../shared/base/macro-f1.js";
import { SeededRng } from "../../../shared/base/random.js";
import { answersOf, examplesOf } from "../../../simulations/report/answers.js";
import { measuredScores, type ScoredTestRows } from "../../../simulations/report/measured.js";
import {
  at,
  byClient,
  type Curve,
  METHODS,
  type MethodCost,
  type MethodName,
  type Report,
  type StageCost,
} from "../../../simulations/report/types.js";
import type { Score } from "../../../tasks/evaluate/message.js";

export interface SampleOptions {
  clients: number;
  groups: number;
  seed?: number;
  /** Clients put into a wrong group. */
  strays?: number;
  /** Rows without choices: accuracy is null everywhere. */
  noChoices?: boolean;
  planted?: boolean;
  names?: (i: number) => string;
  title?: string;
  /** Per client. @default 24 */
  testRows?: number;
  /** Text in front of each prompt. */
  prompt?: string;
  /** Affinities differ by chance alone. */
  noise?: boolean;
}

/** The cost of a method whose last stage is the largest. */
const staged = (cost: StageCost, ...stages: string[]): MethodCost => {
  const parts = stages.map((_, k) => (k + 1) / stages.reduce((sum, __, j) => sum + j + 1, 0));
  const share = (k: number): StageCost => ({
    flops: cost.flops * parts[k]!,
    bytesUp: cost.bytesUp * parts[k]!,
    bytesDown: cost.bytesDown * parts[k]!,
    wallSeconds: cost.wallSeconds * parts[k]!,
  });
  return { ...cost, stages: Object.fromEntries(stages.map((name, k) => [name, share(k)])) };
};

const PLANTED_NAMES = ["inverted", "plain", "first-wins", "negated", "swapped", "by length"];
const LABELS = [" positive", " negative", " neither", " cannot tell"];
const QUALITY: Readonly<Record<MethodName, number>> = {
  base: 0.5,
  shared: 0.63,
  local: 0.74,
  full: 0.7,
  kindred: 0.86,
};

/** A client's test rows under every method. */
function testRowsOf(client: string, { noChoices, testRows = 24, prompt = "" }: SampleOptions, rng: SeededRng) {
  const rows = Array.from({ length: testRows }, (_, r): Example => {
    const text = `${prompt}Review ${r + 1}: the ${rng.pick(["soup", "film", "room"])} was ${rng.pick(["fine", "odd", "cold"])}. Answer:`;
    return noChoices
      ? { kind: "text", where: `${client}:${r + 1}`, text }
      : { kind: "answer", where: `${client}:${r + 1}`, prompt: text, completion: rng.pick(LABELS), choices: LABELS };
  });
  const skill = Object.fromEntries(METHODS.map((method) => [method, QUALITY[method] + 0.06 * rng.normal()]));
  const methods = new Map(
    METHODS.map((method) => [
      method,
      rows.map((row): RowScore => {
        const right = Math.min(0.98, Math.max(0.05, skill[method]! + 0.2 * rng.normal()));
        const answer = row.kind === "answer" ? LABELS.indexOf(row.completion) : -1;
        const chosen = rng.uniform() < skill[method]! ? answer : rng.int(LABELS.length);
        return { nll: -Math.log(right), chosen: answer < 0 ? -1 : chosen };
      }),
    ]),
  );
  return { client, rows, tokens: rows.map(() => 1), methods } satisfies ScoredTestRows;
}

/** What a client sends of its test rows. */
function scoreOf({ rows, tokens, methods }: ScoredTestRows, method: MethodName): Score {
  const scores = methods.get(method)!;
  const labels = rows.map((row) => (row.kind === "answer" ? LABELS.indexOf(row.completion) : -1));
  const guesses = scores.map(({ chosen }) => chosen);
  const choices = labels.some((label) => label >= 0);
  return {
    nllSum: scores.reduce((sum, { nll }) => sum + nll, 0),
    tokens: tokens.reduce((sum, n) => sum + n, 0),
    examples: rows.length,
    choiceRows: choices ? rows.length : 0,
    correct: choices ? labels.filter((label, r) => label === guesses[r]).length : 0,
    ...(choices ? { macroF1: new Guesses(labels, guesses).macroF1() } : {}),
  };
}

function curveOf(rng: SeededRng) {
  return (name: string, from: number, to: number): Curve => ({
    name,
    unit: "round",
    points: Array.from({ length: 13 }, (_, r) => {
      const loss = to + (from - to) * Math.exp(-r / 3);
      return {
        step: r,
        ...(r > 0 ? { trainLoss: loss * (0.97 - 0.012 * r) + 0.01 * rng.normal() } : {}),
        validationLoss: loss + 0.01 * rng.normal(),
      };
    }),
  });
}

/** Parts that are the same in every report. */
const FIXED = {
  cost: {
    base: staged({ flops: 8.1e9, bytesUp: 4200, bytesDown: 3.1e4, wallSeconds: 0.9 }, "score"),
    shared: staged({ flops: 1.31e12, bytesUp: 8.4e6, bytesDown: 9.9e6, wallSeconds: 31.2 }, "sweep", "train"),
    local: staged({ flops: 1.29e12, bytesUp: 5200, bytesDown: 4.4e5, wallSeconds: 28.4 }, "sweep", "train"),
    full: staged({ flops: 2.9e12, bytesUp: 9.1e8, bytesDown: 9.2e8, wallSeconds: 84.1 }, "sweep", "train"),
    kindred: staged(
      { flops: 1.62e12, bytesUp: 2.31e7, bytesDown: 1.44e7, wallSeconds: 118.6 },
      ...["publish", "weigh", "search", "estimate", "sketch", "boost", "sweep", "train"],
    ),
  },
  learningRate: 0.003,
  versions: { kindred: "0.1.0", node: "v22.11.0", "onnxruntime-node": "1.30.0" },
  peakRssBytes: 512_300_000,
  sweep: [3e-4, 1e-3, 3e-3, 1e-2].map((learningRate, k) => ({
    learningRate,
    validationLoss: [1.62, 1.31, 1.18, 1.27][k] ?? 1,
  })),
  full: {
    learningRate: 3e-4,
    sweep: [1e-4, 3e-4, 1e-3].map((learningRate, k) => ({
      learningRate,
      validationLoss: [1.21, 1.04, null][k] ?? null,
    })),
  },
  stages: [
    { stage: "learning rate", wallSeconds: 41.3 },
    { stage: "train shared", wallSeconds: 31.2 },
    { stage: "train local", wallSeconds: 28.4 },
    { stage: "sketch gradients", wallSeconds: 12.1 },
    { stage: "estimate affinities", wallSeconds: 3.4 },
    { stage: "search groups", wallSeconds: 9.9 },
    { stage: "train groups", wallSeconds: 44.6 },
    { stage: "boost", wallSeconds: 18.8 },
    { stage: "weigh", wallSeconds: 6.2 },
    { stage: "score test rows", wallSeconds: 7.5 },
  ],
  wallSeconds: 203.4,
  faults: [],
} satisfies Partial<Report>;

const made = new Map<string, Report>();

/** A report of one's own. Most of the work is the intervals', so reports of the same options are made once. */
export function sampleReport(options: SampleOptions): Report {
  if (options.names !== undefined) return reportOf(options);
  const key = JSON.stringify(options);
  const report = made.get(key) ?? reportOf(options);
  made.set(key, report);
  return structuredClone(report);
}

function reportOf(options: SampleOptions): Report {
  const { clients: n, groups: m, seed = 0, strays = 0, planted = true, noise = false } = options;
  const rng = new SeededRng(seed, "sample report", n, m);
  const clients = Array.from({ length: n }, (_, i) => options.names?.(i) ?? `client-${String(i).padStart(2, "0")}`);
  const truth = clients.map((_, i) => i % m);
  const found = truth.map((g, i) => (i < strays ? (g + 1) % m : g));
  const partition = (of: readonly number[]) =>
    Array.from({ length: m }, (_, g) => clients.filter((_, i) => of[i] === g)).filter((group) => group.length > 0);
  const groups = partition(found);
  const level = clients.map(() => 1.2 + 0.5 * rng.normal());
  const affinity = clients.map((_, i) =>
    clients.map((_, j) => -(level[i] ?? 1) + (noise ? 0 : truth[i] === truth[j] ? 0.12 : -0.03) + 0.03 * rng.normal()),
  );
  const testRows = clients.map((client) => testRowsOf(client, options, rng));
  const sent = new Map(
    METHODS.map((method) => [method, new Map(testRows.map((of) => [of.client, scoreOf(of, method)]))]),
  );
  const { answerLossInterval, ...measured } = measuredScores({ clients, groups }, sent, testRows, seed);
  const curve = curveOf(rng);
  const members = [
    ...groups.map((_, g) => ({ name: `group-${g + 1}`, group: g, kind: "group" as const })),
    { name: "group-1-boost-1", group: 0, kind: "boost" as const },
  ];
  const home = new Map(groups.flatMap((group, g) => group.map((name) => [name, g] as const)));
  const kindred = measured.methods.kindred!;
  const estimatedOf = (name: string) => {
    const { loss, accuracy } = at(kindred.clients, name)!;
    return {
      loss: { estimated: loss * (1 + 0.1 * rng.normal()), measured: loss },
      ...(accuracy === null
        ? {}
        : { accuracy: { estimated: Math.min(1, accuracy * (1 + 0.08 * rng.normal())), measured: accuracy } }),
    };
  };
  return {
    ...FIXED,
    title: options.title ?? "Kindred on a generated population",
    clients,
    groups,
    affinity,
    ...measured,
    forecasts: {
      mean: {
        loss: {
          estimated: kindred.mean.loss * 1.08,
          standardError: 0.03,
          measured: kindred.mean.loss,
          interval: answerLossInterval,
        },
        ...(kindred.mean.accuracy === null
          ? {}
          : {
              accuracy: {
                estimated: kindred.mean.accuracy - 0.01,
                standardError: 0.02,
                measured: kindred.mean.accuracy,
                interval: kindred.mean.accuracyInterval,
              },
            }),
      },
      clients: byClient(clients.map((name) => [name, estimatedOf(name)])),
    },
    boosting: [
      {
        name: "group-1-boost-1",
        group: 0,
        step: 0.5,
        clients: byClient(
          (groups[0] ?? []).map((name) => [name, { before: 0.5, after: 0.5 - 0.06 * rng.uniform() + 0.01 }]),
        ),
      },
    ],
    answers: answersOf(testRows),
    examples: examplesOf(testRows, 4, seed),
    ...(planted
      ? {
          planted: {
            groups: partition(truth),
            names: Array.from({ length: m }, (_, g) => PLANTED_NAMES[g] ?? `convention ${g + 1}`),
            adjustedRandIndex: strays === 0 ? 1 : 1 - (2.2 * strays) / n,
          },
        }
      : {}),
    seed,
    curves: [
      curve("shared", 2.4, 1.1),
      curve("full", 2.4, 0.9),
      ...groups.map((_, g) => curve(`group-${g + 1}`, 2.4, 0.45 + 0.05 * g)),
      curve("group-1-boost-1", 0.5, 0.41),
    ],
    members,
    weights: byClient(
      clients.map((name) => [
        name,
        members.map((member) =>
          member.group === home.get(name)
            ? (member.kind === "boost" ? 0.25 : 0.7) + 0.04 * rng.uniform()
            : Math.max(0, 0.05 * rng.normal()),
        ),
      ]),
    ),
    grouping: {
      candidates: Array.from({ length: Math.min(n, m + 4) }, (_, k) => ({
        label: k === 0 ? "one group" : k % 2 ? "sdp" : "spectral",
        groups: k + 1,
        judged: -0.9 - 0.06 * Math.abs(k + 1 - m) ** 0.8,
        gainOverOne: 0.06 * ((m - 1) ** 0.8 - Math.abs(k + 1 - m) ** 0.8),
        standardError: noise ? 0.2 : 0.01,
        chosen: k + 1 === m,
      })),
      reason: `${m} groups have the least estimated validation loss, by more than the noise of the estimate`,
      measure: "minus the mean estimated validation loss",
    },
    estimation: {
      subsets: 20 * n,
      subsetSize: 4,
      dim: 400,
      pairCoverage: { min: 3, mean: 12.4, max: 24 },
      standardError: 0.008,
      facts: { margin: "two terms", lambda: 0.003 },
    },
    config: { model: "embedded", population: "generated", seed, adapter: { kind: "lora", rank: 16, alpha: 32 } },
    model: { name: "kindred-demo", parameters: 2_113_536, hash: "3f9a0c…", facts: { layers: 4, hidden: 128 } },
    rows: byClient(clients.map((name) => [name, { train: 24, validation: 16, test: options.testRows ?? 24 }])),
    tokens: byClient(clients.map((name) => [name, { train: 480, validation: 320, test: 480 }])),
    command: `npm run demo -- --seed ${seed}`,
  };
}
