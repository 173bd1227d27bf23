/** Fits the client's ensemble weights on its validation rows. */
import type { Work } from "../../client/tasks/work.js";
import { fitEnsembleWeights } from "../../client/tuning/ensemble-weights.js";
import type { FitWeights, FitWeightsResult } from "./message.js";

export const work: Work<FitWeights, FitWeightsResult> = async (task, tools) => {
  const { compiledGraphs, meter, io } = tools;
  const layout = tools.layout(task.adapter);
  const members = await tools.adapters(layout, task.adapter, task.members);
  const rows = tools.rows("validation");
  return await fitEnsembleWeights(
    compiledGraphs,
    { layout, members },
    rows,
    { prior: task.prior, strength: task.strength },
    { meter, onShare: (share) => io.progress(share) },
  );
};
