/**
 * `kindred demo`: the embedded model on a generated population of tickets whose houses follow conflicting rules. It needs only the
 * package.
 */
import { join } from "node:path";
import type { JobContext } from "../../shared/base/command.js";
import { KindredError } from "../../shared/base/errors.js";
import { simulationPlan } from "../../shared/config/config.js";
import { populationOf } from "../population/load.js";
import { plantedPopulation, populationLines } from "../population/planted.js";
import type { Report } from "../report/types.js";
import { checkFolder } from "../run-folder.js";
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

const POPULATION = "population.jsonl";

/** What the demo runs in a folder. */
function demoIn(out: string, seed: number) {
  const planted = plantedPopulation({ seed });
  const plan = simulationPlan({
    title: `Demo: 24 houses, four rules, seed ${seed}`,
    model: DEMO_MODEL,
    population: join(out, POPULATION),
    ...DEMO_OPTIONS,
    seed,
  });
  return {
    plan,
    population: populationOf(planted.clients, { seed: plan.seed, format: plan.format }),
    files: { [POPULATION]: populationLines(planted) },
  };
}

/**
 * The first of FOLDER, FOLDER-2, FOLDER-3, ... in which the demo can begin, or resume: a finished run is nobody's to replace unasked.
 * @param folder absolute
 */
export async function freeFolder(folder: string, seed: number): Promise<string> {
  for (let n = 1; ; n++) {
    const out = n === 1 ? folder : `${folder}-${n}`;
    const { plan, files } = demoIn(out, seed);
    try {
      await checkFolder(plan, { out, force: false, files });
      return out;
    } catch (error) {
      if (!(error instanceof KindredError && error.code === "already_exists")) throw error;
    }
  }
}

/** @throws {KindredError} as `runSimulation` */
export async function runDemo({ seed, out, force, ...context }: DemoJob): Promise<Report> {
  const { plan, population, files } = demoIn(out, seed);
  const command = `npm run demo -- --seed ${seed}`;
  return await runSimulation(plan, { out, force, population, files, ...context, command });
}
