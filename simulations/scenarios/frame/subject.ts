/** What a study measures on: rows, a model and options, compiled to a plan. Knows nothing of what is measured. */
import { join } from "node:path";
import { writeAtomically } from "../../../shared/base/atomic.js";
import { type SimulationPlan, simulationPlan } from "../../../shared/config/config.js";
import type { StudyJob } from "./study.js";

/** The rest is the command's. */
export type Options = Omit<Parameters<typeof simulationPlan>[0], "title" | "model" | "population" | "seed">;

export interface Subject {
  readonly title: string;
  /** Lines of a population file. @param own whether the model is the user's, which may be large */
  readonly population: (seed: number, own: boolean) => Promise<string>;
  /** Folder of the model, unless the user names one. */
  readonly model: () => string;
  readonly options: Options;
}

/** Writes `population.jsonl` into the job's folder. */
export async function planOf({ title, population, model, options }: Subject, job: StudyJob): Promise<SimulationPlan> {
  const folder = job.model ?? model();
  const path = join(job.out, "population.jsonl");
  await writeAtomically(path, await population(job.seed, job.model !== undefined));
  return simulationPlan({ ...options, title, model: folder, population: path, seed: job.seed });
}
