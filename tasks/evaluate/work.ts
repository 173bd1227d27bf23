/** Scores mixtures of adapters on rows of the client. */
import type { Work } from "../../client/tasks/work.js";
import { type RowScore, scoreMixtures } from "../../client/tuning/scoring.js";
import type { Evaluate, EvaluateResult } from "./message.js";

export const work: Work<Evaluate, EvaluateResult> = async (task, tools) => {
  const { compiledGraphs, meter, io } = tools;
  const keep = task.split === "test" ? tools.onTestRows : undefined;
  const layout = tools.layout(task.adapter);
  const members = await tools.adapters(layout, task.adapter, task.members);
  const rows = tools.rows(task.split, task.examplesLimit);
  const tokens: number[] = [];
  const mixtures: RowScore[][] = task.mixtures.map(() => []);
  const scores = await scoreMixtures(compiledGraphs, { layout, members }, task.mixtures, rows, {
    meter,
    onBatch: (_, done, of) => io.progress(done / of),
    // The coordinator would refuse the whole result; this says why.
    nameOf: () => `a row of the ${task.split} split`,
    onRow:
      keep &&
      ((row, scored, ofRow) => {
        tokens[row] = scored;
        ofRow.forEach((score, m) => {
          mixtures[m]![row] = score;
        });
      }),
  });
  // Before the result is sent: where the coordinator has a result, its rows are kept.
  await keep?.(task.adapter, { tokens, mixtures });
  return { scores };
};
