/**
 * Trains one adapter on some clients in federated rounds. A training is named: the same name gives the stored result, also after a
 * restart.
 */
import { trainAlone } from "./train-alone.js";
import { trainTogether } from "./train-together.js";
import type { TrainedAdapter, TrainingJob, TrainingParts } from "./training-job.js";

export async function trainFederated(ctx: TrainingParts, job: TrainingJob): Promise<TrainedAdapter> {
  return job.clients.length === 1 ? trainAlone(ctx, job) : trainTogether(ctx, job);
}
