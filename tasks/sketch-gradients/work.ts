/** Sketches the client's training and validation rows. */
import { sketchDataset } from "../../client/tasks/sketch.js";
import type { Work } from "../../client/tasks/work.js";
import { sketchTensors } from "../../shared/sketch/codec.js";
import type { SketchGradients, SketchGradientsResult } from "./message.js";

export const work: Work<SketchGradients, SketchGradientsResult> = async (task, tools) => {
  const { compiledGraphs, meter, io } = tools;
  const layout = tools.layout(task.adapter);
  const start = await tools.adapter(layout, task.adapter, task.start);
  const dataset = tools.dataset();
  const sketches = await sketchDataset(
    compiledGraphs,
    dataset,
    task,
    { layout, values: start },
    { meter, onShare: (share) => io.progress(share) },
  );
  return { rows: { tensors: sketchTensors(sketches) }, trainExamples: dataset.train.length };
};
