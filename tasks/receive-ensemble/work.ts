/** Keeps the ensemble that the coordinator returns. */
import type { Work } from "../../client/tasks/work.js";
import { adapterTensors } from "../../client/tuning/adapter.js";
import type { ReceiveEnsemble, ReceiveEnsembleResult } from "./message.js";

export const work: Work<ReceiveEnsemble, ReceiveEnsembleResult> = async (task, tools) => {
  if (tools.onEnsemble === undefined) return {};
  const layout = tools.layout(task.adapter);
  const members = [];
  for (const { name, adapter, weight } of task.members) {
    const values = await tools.adapter(layout, task.adapter, adapter);
    members.push({ name, weight, tensors: adapterTensors(layout, values) });
  }
  await tools.onEnsemble({ adapter: task.adapter, members });
  return {};
};
