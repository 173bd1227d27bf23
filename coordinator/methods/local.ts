/** One adapter per client, trained alone. */
import type { AdapterSpec, BlobRef } from "../../shared/wire/types.js";
import { beginStage } from "../events/events.js";
import { trainFederated } from "../rounds/train.js";
import type { TrainingParts } from "../rounds/training-job.js";
import { JointShare } from "../run/joint-share.js";
import type { Method } from "./method.js";

export const localMethod = (parts: TrainingParts, adapter: AdapterSpec): Method<"local"> => ({
  name: "local",
  sweeps: true,
  uses: [],
  async train({ payers, learningRate }) {
    const { names } = parts.cohort;
    const stage = beginStage(parts.events, "train local", names.length);
    const rowsOf = (client: string): number => parts.cohort.info(client).rows.train;
    const shares = new JointShare(new Map(names.map((client) => [client, rowsOf(client)])));
    let trained = 0;
    const adapters = await parts.books.time(payers, "train", () =>
      parts.cohort.sideBySide(async (client, at) => {
        const { values } = await trainFederated(parts, {
          name: `local-${at}`,
          stage: "train local",
          methods: payers,
          book: "train",
          clients: [client],
          adapter,
          learningRate,
          onProgress: (share) => stage.answered(shares.set(client, share), trained, names.length),
        });
        stage.answered(shares.set(client, 1), ++trained, names.length);
        return values;
      }),
    );
    stage.end({ clients: `${trained}/${names.length}` });
    const values = new Map<string, BlobRef>();
    names.forEach((client, at) => {
      const ref = adapters[at];
      if (ref !== undefined) values.set(client, ref);
    });
    return {
      adapter,
      values,
      curves: [],
      mixture: (client) => {
        const own = values.get(client);
        return own === undefined ? [] : [{ values: own, weight: 1 }];
      },
    };
  },
});
