/** The setup of a study: rows, a model and options, compiled to a plan. It knows nothing of the measurements. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeAtomically } from "../../../shared/base/atomic.js";
import { KindredError } from "../../../shared/base/errors.js";
import { type SimulationPlan, simulationPlan } from "../../../shared/config/config.js";
import type { StudyJob } from "./study.js";

/** The options of a plan without those of the command. */
export type Options = Omit<Parameters<typeof simulationPlan>[0], "title" | "model" | "population" | "seed">;

export interface StudySetup {
  readonly title: string;
  /** Lines of a population file. @param own whether the model is the user's, and may be large */
  readonly population: (seed: number, own: boolean) => Promise<string>;
  /** Folder of the default model. */
  readonly model: () => string;
  readonly options: Options;
}

/**
 * Writes `population.jsonl` into the job's folder.
 * @throws {KindredError} `already_exists` where the folder has another population, without `force`
 */
export async function planOf(
  { title, population, model, options }: StudySetup,
  job: StudyJob,
): Promise<SimulationPlan> {
  const folder = job.model ?? model();
  const path = join(job.out, "population.jsonl");
  const lines = await population(job.seed, job.model !== undefined);
  const before = await readFile(path, "utf8").catch(() => undefined);
  if (before !== undefined && before !== lines && !job.force)
    throw new KindredError(
      "already_exists",
      `${path}: has other rows than this study; choose another --out, or add --force to replace them`,
      { path },
    );
  await writeAtomically(path, lines);
  return simulationPlan({ ...options, title, model: folder, population: path, seed: job.seed });
}
