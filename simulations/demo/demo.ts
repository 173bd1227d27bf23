/**
 * `kindred demo`: the embedded model on a generated population of tickets whose houses follow conflicting rules. Needs nothing
 * but the package.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { writeAtomically } from "../../shared/base/atomic.js";
import type { JobContext } from "../../shared/base/command.js";
import { simulationPlan } from "../../shared/config/config.js";
import { plantedPopulation, populationLines } from "../population/planted.js";
import type { Report } from "../report/types.js";
import { runSimulation } from "../simulate.js";
import { DEMO_MODEL } from "./demo-model.js";

/** What the demo sets beside model and population; the scenarios on the same population use it too. */
export const DEMO_OPTIONS: Partial<Parameters<typeof simulationPlan>[0]> = {
  // All linears: a model of 0.6 million parameters has little in its attention alone to change.
  adapter: { modules: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"] },
  // The rate that the sweep finds, given so that the demo need not look for it.
  training: { epochs: 12, learningRate: 0.03 },
};

export interface DemoJob extends JobContext {
  readonly seed: number;
  /** Folder of the run; the population is written into it. */
  readonly out: string;
  readonly force: boolean;
}

export async function runDemo({ seed, out, force, ...context }: DemoJob): Promise<Report> {
  await mkdir(out, { recursive: true });
  const population = join(out, "population.jsonl");
  await writeAtomically(population, populationLines(plantedPopulation({ seed })));
  const plan = simulationPlan({
    title: `Demo: 24 houses, four rules, seed ${seed}`,
    model: DEMO_MODEL,
    population,
    ...DEMO_OPTIONS,
    seed,
  });
  return await runSimulation(plan, { out, force, ...context, command: `npm run demo -- --seed ${seed}` });
}
