/**
 * Differences in 8 bits with error feedback (Seide et al. 2014; Karimireddy et al. 2019): what rounding takes from a round's
 * difference is added to the next one's, so that the sums of what was sent and of what was to be sent differ by one round's
 * rounding at most.
 */
import type { FloatTensor } from "../../../shared/base/tensors.js";
import { fromCoded, toInt8 } from "../../../shared/transforms/coded.js";
import { codeDifferences } from "./difference.js";
import type { Transform } from "./transform.js";

export const int8: Transform = {
  name: "int8",
  apply: async (release, { transport: { training, round, after }, memory }) => {
    const carried = after === undefined ? undefined : await memory.load(training, after);
    const left = new Map<string, FloatTensor>();
    const coded = codeDifferences(release, carried ?? new Map(), (name, difference) => {
      const tensor = toInt8(difference);
      const sent = fromCoded(tensor).data;
      left.set(name, { shape: difference.shape, data: difference.data.map((value, i) => value - (sent[i] as number)) });
      return tensor;
    });
    // Before the result is reported: a client that dies in between does the task again, from the same carried error.
    await memory.save(training, round, left, after);
    return coded;
  },
};
