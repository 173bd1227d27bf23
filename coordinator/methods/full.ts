/** Full fine-tuning, as the paper compares with: federated averaging of all weights over all clients, at its own learning rate. */

import { beginStage } from "../events/events.js";
import { chooseLearningRate, type SweepSubject } from "../rounds/sweep.js";
import { trainFederated } from "../rounds/train.js";
import type { TrainingParts } from "../rounds/training-job.js";
import type { Method } from "./method.js";

export const fullMethod = (parts: TrainingParts, subject: SweepSubject): Method<"full"> => ({
  name: "full",
  sweeps: false,
  uses: [],
  async train({ payers }) {
    const { books, cohort, events } = parts;
    const { adapter } = subject;
    const sweep = await books.time(payers, "sweep", () => chooseLearningRate(parts, payers, subject));
    const stage = beginStage(events, "train full", 1);
    const { values, unit, curve } = await books.time(payers, "train", () =>
      trainFederated(parts, {
        name: "full",
        stage: "train full",
        methods: payers,
        book: "train",
        clients: cohort.names,
        adapter,
        learningRate: sweep.learningRate,
        onProgress: stage.reached,
      }),
    );
    stage.end();
    return {
      adapter,
      sweep,
      curves: [{ name: "full", unit, points: curve }],
      mixture: () => (values === undefined ? [] : [{ values, weight: 1 }]),
    };
  },
});
