/** One adapter for all clients, by federated rounds. */
import type { AdapterSpec } from "../../shared/wire/types.js";
import { beginStage } from "../events/events.js";
import { trainFederated } from "../rounds/train.js";
import type { TrainingParts } from "../rounds/training-job.js";
import type { Method } from "./method.js";

export const sharedMethod = (parts: TrainingParts, adapter: AdapterSpec): Method<"shared"> => ({
  name: "shared",
  sweeps: true,
  uses: [],
  async train({ payers, learningRate }) {
    const clients = parts.cohort.names;
    const stage = beginStage(parts.events, "train shared", 1);
    const { values, unit, curve } = await parts.books.time(payers, "train", () =>
      trainFederated(parts, {
        // A single client's adapter is its local one.
        name: clients.length === 1 ? "local-0" : "shared",
        stage: "train shared",
        methods: payers,
        book: "train",
        clients,
        adapter,
        learningRate,
        onProgress: stage.reached,
      }),
    );
    stage.end();
    return {
      adapter,
      values,
      curves: [{ name: "shared", unit, points: curve }],
      mixture: () => (values === undefined ? [] : [{ values, weight: 1 }]),
    };
  },
});
