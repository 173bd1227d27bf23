/**
 * Recovery of planted groups and its cost: from sketches to the cross-validated partition as in a run (estimate, affinities, search by
 * the estimator's values, cross-validation), each population in a process of its own. Beside it the same affinities grouped by
 * baselines, and populations without groups, where any split is a false alarm.
 *
 * The noise of a population is the lack of agreement within groups: the correlation of the log odds of two clients of a group on the
 * same inputs, which equals that of their optimal weights; clients of different groups have a correlation of 0.
 */
import { SurrogateEvaluator } from "../../coordinator/estimation/partition-evaluator.js";
import { PartitionConstraints } from "../../coordinator/grouping/constraints.js";
import { groupClients } from "../../coordinator/grouping/group.js";
import { labelsOf, type Partition } from "../../coordinator/grouping/partition.js";
import { adjustedRandIndex } from "../../coordinator/grouping/rand-index.js";
import {
  type EstimationSettings,
  estimateAffinities,
  halfAffinity,
  openEstimator,
} from "../../coordinator/stages/affinities.js";
import { baselineGrouping } from "../../coordinator/stages/baseline.js";
import { crossValidated } from "../../coordinator/stages/cross-validation.js";
import { peakRssBytes } from "../../shared/base/peak.js";
import type { Runtime } from "../../shared/runtimes/types.js";
import { inChildProcess } from "./child-process.js";
import { costOf, type ProcessCost } from "./cost.js";
import { plantedSketches } from "./planted-sketches.js";

export interface PlantedCase {
  readonly clients: number;
  /** 1: none are planted. */
  readonly groups: number;
  readonly subsets: number | "auto";
  readonly subsetSize: number | "auto";
  readonly dim: number;
  /** Training and validation examples per client. */
  readonly train: number;
  readonly validation: number;
  /** See `PlantedSketchOptions`. */
  readonly agreement: number;
  readonly seed: number;
}

const STAGES = ["estimate", "search", "confirm"] as const;

export interface PlantedFound {
  readonly stages: Readonly<Record<(typeof STAGES)[number], ProcessCost>>;
  readonly groups: number;
  /** Adjusted Rand index against the planted groups; the baselines get the number of groups. */
  readonly index: number;
  readonly others: Readonly<Record<(typeof OTHERS)[number], number>>;
  /** Peak of the process. */
  readonly peakBytes: number;
  readonly why: string;
}

const OTHERS = ["spectral", "cosine"] as const;

const CHILD = "./planted-groups-child.js";

/** So many validation examples that there is no cross-fitting. */
const LARGE = {
  clients: 500,
  groups: 10,
  subsets: 2000,
  subsetSize: 25,
  dim: 400,
  train: 100,
  validation: 50,
} as const;
const LEVELS = { easy: 1, moderate: 0.9, hard: 0.6 } as const;
const SEEDS = [0, 1, 2];
/** Populations without groups: small ones, where a search finds random patterns most easily. */
const NULL = { groups: 1, subsets: "auto", subsetSize: "auto", dim: 50, train: 40, validation: 20 } as const;
const NULL_SEEDS = 24;

export async function benchPlantedGroups(print: (line: string) => void): Promise<void> {
  for (const [level, agreement] of Object.entries(LEVELS)) {
    const all: PlantedFound[] = [];
    for (const seed of SEEDS) {
      const found = await inChildProcess<PlantedFound>(CHILD, { ...LARGE, agreement, seed });
      all.push(found);
      const { stages, groups, index, others, peakBytes } = found;
      const costs = STAGES.map((name) => {
        const { clock, processor, held } = stages[name];
        return `${name} ${clock.toFixed(1)} s (processors ${processor.toFixed(1)}, event loop held ${held.toFixed(0)} ms)`;
      });
      print(
        `  ${level}, agreement ${agreement}, seed ${seed}: adjusted Rand index ${index.toFixed(3)}, ${groups} groups; given their number, ` +
          `${OTHERS.map((name) => `${name} ${others[name].toFixed(3)}`).join(", ")}; ${costs.join(", ")}; peak ${(peakBytes / 2 ** 30).toFixed(2)} GiB`,
      );
    }
    const spread = (of: (found: PlantedFound) => number) => {
      const values = all.map(of);
      return `${Math.min(...values).toFixed(3)} to ${Math.max(...values).toFixed(3)}`;
    };
    print(
      `  ${level}: Kindred ${spread(({ index }) => index)}, ${OTHERS.map((name) => `${name} ${spread(({ others }) => others[name])}`).join(", ")}`,
    );
  }
  for (const clients of [24, 60]) {
    let split = 0;
    for (let seed = 0; seed < NULL_SEEDS; seed++) {
      const { groups, why } = await inChildProcess<PlantedFound>(CHILD, { ...NULL, clients, agreement: 1, seed });
      if (groups === 1) continue;
      split++;
      print(`  ${clients} clients alike, seed ${seed}: ${why}`);
    }
    print(`  ${clients} clients alike: ${split} of ${NULL_SEEDS} populations split`);
  }
}

export async function measurePlantedGroups(
  runtime: Runtime,
  { clients, groups, subsets, subsetSize, seed, ...population }: PlantedCase,
): Promise<PlantedFound> {
  const { sketches, labels } = plantedSketches({ clients, groups, seed, ...population });
  const index = (partition: Partition) => adjustedRandIndex(labels, labelsOf(partition, clients));
  const settings: EstimationSettings = {
    subsets,
    subsetSize,
    lambda: "auto",
    standardError: "auto",
    design: "uniform",
    balance: "none",
  };
  const estimate = await costOf(async () => {
    const solver = await openEstimator(sketches, { ...settings, projections: 1 }, { seed, runtime });
    return { solver, sampled: await estimateAffinities(solver, settings, seed) };
  });
  const { solver, sampled } = estimate.value;
  try {
    const { matrix } = sampled.affinity;
    const constraints = new PartitionConstraints(solver.problem.clients, { together: [], apart: [] });
    const evaluator = new SurrogateEvaluator(solver);
    const options = { seed, signal: undefined, constraints };
    // The steps of `findGroups`.
    const search = await costOf(() => groupClients(matrix, { ...options, evaluator }));
    const confirm = await costOf(() =>
      crossValidated(search.value, (half) => halfAffinity(sampled, half), evaluator, options),
    );
    const other = async (method: (typeof OTHERS)[number]) =>
      index((await baselineGrouping(method, matrix, solver.problem, groups, options)).partition);
    const { partition, why } = confirm.value;
    return {
      stages: { estimate: estimate.cost, search: search.cost, confirm: confirm.cost },
      groups: partition.length,
      index: index(partition),
      others: { spectral: await other("spectral"), cosine: await other("cosine") },
      peakBytes: peakRssBytes(),
      why,
    };
  } finally {
    await solver.close();
  }
}
