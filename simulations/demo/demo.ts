/**
 * `kindred demo`: the embedded model on a generated population of tickets whose houses follow conflicting rules. It needs only the
 * package.
 */
import { join } from "node:path";
import { writeAtomically } from "../../shared/base/atomic.js";
import type { JobContext } from "../../shared/base/command.js";
import { simulationPlan } from "../../shared/config/config.js";
import { plantedPopulation, populationLines } from "../population/planted.js";
import type { Report } from "../report/types.js";
import { runSimulation } from "../simulate.js";
import { DEMO_MODEL } from "./demo-model.js";

/** The demo's options beside model and population; scenarios on the same population use them too. */
export const DEMO_OPTIONS: Partial<Parameters<typeof simulationPlan>[0]> = {
  // All linears: the attention alone of a model of 0.6 million parameters has little capacity for changes.
  adapter: { modules: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"] },
  // The result of the sweep, given so that the demo needs no sweep.
  training: { epochs: 12, learningRate: 0.03 },
};

export interface DemoJob extends JobContext {
  readonly seed: number;
  /** Folder of the run; the population is written into it. */
  readonly out: string;
  readonly force: boolean;
}

export async function runDemo({ seed, out, force, ...context }: DemoJob): Promise<Report> {
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
