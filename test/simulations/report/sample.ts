/** Reports made from a seed, with the shape of real ones: groups whose clients help each other, gains and some losses. */
import { SeededRng } from "../../../shared/base/random.js";
import {
  byClient,
  type Curve,
  METHODS,
  type MethodCost,
  type MethodName,
  type MethodResult,
  type Report,
  type StageCost,
} from "../../../simulations/report/types.js";

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
}

/** A cost that one stage makes up. */
const staged = (cost: StageCost): MethodCost => ({ ...cost, stages: { train: cost } });

const PLANTED_NAMES = ["inverted", "plain", "first-wins", "negated", "swapped", "by length"];

export function sampleReport(options: SampleOptions): Report {
  const { clients: n, groups: m, seed = 0, strays = 0, noChoices = false, planted = true } = options;
  const rng = new SeededRng(seed, "sample report", n, m);
  const clients = Array.from({ length: n }, (_, i) => options.names?.(i) ?? `client-${String(i).padStart(2, "0")}`);
  const truth = clients.map((_, i) => i % m);
  const found = truth.map((g, i) => (i < strays ? (g + 1) % m : g));
  const partition = (of: readonly number[]) =>
    Array.from({ length: m }, (_, g) => clients.filter((_, i) => of[i] === g)).filter((group) => group.length > 0);
  const groups = partition(found);
  const level = clients.map(() => 1.2 + 0.5 * rng.normal());
  const affinity = clients.map((_, i) =>
    clients.map((_, j) => -(level[i] ?? 1) + (truth[i] === truth[j] ? 0.12 : -0.03) + 0.03 * rng.normal()),
  );
  const quality: Record<MethodName, number> = { base: 0.5, shared: 0.63, local: 0.74, full: 0.7, kindred: 0.9 };
  const methods = Object.fromEntries(
    METHODS.map((method): [MethodName, MethodResult] => {
      const scores = byClient(
        clients.map((name) => {
          const right = Math.min(0.995, Math.max(0.02, quality[method] + 0.05 * rng.normal()));
          const accuracy = noChoices ? null : Math.round(right * 200) / 200;
          return [name, { loss: -Math.log(right) + 0.25 + 0.02 * Math.abs(rng.normal()), accuracy }] as const;
        }),
      );
      const all = Object.values(scores);
      const mean = (values: readonly number[]) => values.reduce((sum, x) => sum + x, 0) / values.length;
      return [
        method,
        {
          clients: scores,
          mean: {
            loss: mean(all.map((score) => score.loss)),
            accuracy: noChoices ? null : mean(all.map((score) => score.accuracy ?? 0)),
          },
        },
      ];
    }),
  );
  const curve = (name: string, from: number, to: number): Curve => ({
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
  const members = [
    ...groups.map((_, g) => ({ name: `group-${g + 1}`, group: g, kind: "group" as const })),
    { name: "group-1-boost-1", group: 0, kind: "boost" as const },
  ];
  const home = new Map(groups.flatMap((group, g) => group.map((name) => [name, g] as const)));
  return {
    title: options.title ?? "Kindred on a generated population",
    clients,
    groups,
    affinity,
    methods,
    ...(planted
      ? {
          planted: {
            groups: partition(truth),
            names: Array.from({ length: m }, (_, g) => PLANTED_NAMES[g] ?? `convention ${g + 1}`),
            adjustedRandIndex: strays === 0 ? 1 : 1 - (2.2 * strays) / n,
          },
        }
      : {}),
    cost: {
      base: staged({ flops: 8.1e9, bytesUp: 4200, bytesDown: 3.1e4, wallSeconds: 0.9 }),
      shared: staged({ flops: 1.31e12, bytesUp: 8.4e6, bytesDown: 9.9e6, wallSeconds: 31.2 }),
      local: staged({ flops: 1.29e12, bytesUp: 5200, bytesDown: 4.4e5, wallSeconds: 28.4 }),
      full: staged({ flops: 2.9e12, bytesUp: 9.1e8, bytesDown: 9.2e8, wallSeconds: 84.1 }),
      kindred: staged({ flops: 1.62e12, bytesUp: 2.31e7, bytesDown: 1.44e7, wallSeconds: 118.6 }),
    },
    learningRate: 0.003,
    seed,
    versions: { kindred: "0.1.0", node: "v22.11.0", "onnxruntime-node": "1.30.0" },
    peakRssBytes: 512_300_000,
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
        chosen: k + 1 === m,
      })),
      reason: `${m} groups have the least estimated validation loss, by more than the noise of the estimate.`,
      measure: "minus the mean estimated validation loss",
    },
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
    estimation: {
      subsets: 20 * n,
      subsetSize: 4,
      dim: 400,
      pairCoverage: { min: 3, mean: 12.4, max: 24 },
      facts: { margin: "two terms", lambda: 0.003 },
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
    faults: [],
    config: { model: "embedded", population: "generated", seed, adapter: { kind: "lora", rank: 16, alpha: 32 } },
    model: { name: "kindred-demo", parameters: 2_113_536, hash: "3f9a0c…", facts: { layers: 4, hidden: 128 } },
    rows: byClient(clients.map((name) => [name, { train: 24, validation: 16, test: 200 }])),
    command: `npm run demo -- --seed ${seed}`,
  };
}
