/**
 * Value of the grouping: on the demo's population, the groups found by Kindred, the planted ones, and random ones of the
 * same number, each really trained in federated rounds, with the same rate and passes; mean test accuracy over clients.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { randomPartition } from "../../coordinator/grouping/partition.js";
import { writeAtomically } from "../../shared/base/atomic.js";
import { silentLog } from "../../shared/base/log.js";
import { silentProgress } from "../../shared/base/progress.js";
import { simulationPlan } from "../../shared/config/config.js";
import { DEMO_OPTIONS } from "../demo/demo.js";
import { DEMO_MODEL } from "../demo/demo-model.js";
import { plantedPopulation, populationLines } from "../population/planted.js";
import { runSimulation } from "../simulate.js";

const SEEDS = [0, 1, 2];

/** Prints a line per seed and method; returns mean test accuracies, [seed][kindred, planted, random, shared, local]. */
export async function benchGroupings(
  print: (line: string) => void,
  seeds: readonly number[] = SEEDS,
): Promise<number[][]> {
  const rows: number[][] = [];
  for (const seed of seeds) {
    const folder = await mkdtemp(join(tmpdir(), "kindred-groupings-"));
    try {
      const population = join(folder, "population.jsonl");
      const planted = plantedPopulation({ seed });
      await writeAtomically(population, populationLines(planted));
      const run = async (name: string, partition?: readonly (readonly string[])[]) => {
        const plan = simulationPlan({
          title: name,
          model: DEMO_MODEL,
          population,
          seed,
          ...DEMO_OPTIONS,
          ...(partition === undefined ? {} : { compare: ["base"] }),
        });
        return await runSimulation(plan, {
          out: join(folder, name),
          force: false,
          log: silentLog,
          progress: silentProgress,
          signal: new AbortController().signal,
          ...(partition === undefined ? {} : { partition }),
        });
      };
      const names = planted.clients.map(({ client }) => client);
      const labels = planted.clients.map(({ group }) => group);
      const byPlan = [...new Set(labels)].map((group) => names.filter((_, i) => labels[i] === group));
      const found = await run("found");
      const random = randomPartition(names.length, byPlan.length, seed).map((group) =>
        group.map((i) => names[i] as string),
      );
      const accuracy = (report: typeof found, method: "kindred" | "shared" | "local"): number =>
        100 * (report.methods[method]?.mean.accuracy as number);
      const row = [
        accuracy(found, "kindred"),
        // Where the groups found are the planted ones, their training is the same.
        accuracy(found.planted?.adjustedRandIndex === 1 ? found : await run("planted", byPlan), "kindred"),
        accuracy(await run("random", random), "kindred"),
        accuracy(found, "shared"),
        accuracy(found, "local"),
      ];
      rows.push(row);
      const base = found.methods.base?.clients ?? {};
      const worst = Math.min(
        ...Object.entries(found.methods.kindred?.clients ?? {}).map(
          ([name, score]) => 100 * ((score.accuracy as number) - (base[name]?.accuracy as number)),
        ),
      );
      const [kindred, plantedMean, randomMean, shared, local] = row.map((value) => value.toFixed(1));
      print(
        `  seed ${seed}: adjusted Rand index ${found.planted?.adjustedRandIndex.toFixed(2)}; test accuracy Kindred ${kindred}, planted groups ${plantedMean}, random groups ${randomMean}, shared ${shared}, local ${local}; worst client against base ${worst.toFixed(1)} points`,
      );
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
  return rows;
}
