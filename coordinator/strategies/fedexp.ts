/**
 * FedExP (Jhunjhunwala, Wang, Joshi 2023, arXiv 2301.09604): the mean of the updates, extrapolated by half of what the updates are
 * longer than the mean, squared. The factor needs the mean's length before the first value is written, so the updates are read a
 * second time: that costs one more pass over them, and no temporary copy.
 */
import { collecting, type Rule, sharesOf, weightedMean } from "./aggregation.js";
import { momentumStep } from "./server-step.js";
import { type StepSettings, stepOf } from "./settings.js";
import type { Strategy, Update, Work } from "./strategy.js";
import { chunksOf, largestChunk } from "./tensors.js";

export function fedexp(settings: StepSettings): Strategy {
  return {
    name: "fedexp",
    begin: (round, work) =>
      collecting(round, async (updates) => {
        const mean = weightedMean(updates, work);
        const { factor, momentum } = stepOf(settings);
        const longer = extrapolation(updates, await squaredLength(mean, work));
        return momentumStep(work, mean, { factor: factor * longer, momentum });
      }),
  };
}

/**
 * The factor: at least 1; half the number of clients where their updates are equally long and at right angles; at most that number,
 * where they contradict each other and the mean is next to nothing (in the paper a constant, to be tuned, bounds it).
 * @param squared the mean's squared distance from the start
 */
function extrapolation(updates: readonly Update[], squared: number): number {
  const shares = sharesOf(updates);
  const meanSquare = updates.reduce(
    (sum, { squaredDistance }, at) => sum + (shares[at] as number) * squaredDistance,
    0,
  );
  return squared > 0 ? Math.min(updates.length, Math.max(1, meanSquare / (2 * squared))) : 1;
}

/** Squared distance of the mean from the start, over the start's tensors, summed in float64. */
async function squaredLength(mean: Rule, { start, shapes, chunkValues }: Work): Promise<number> {
  const buffer = new Float32Array(largestChunk(shapes, chunkValues));
  let sum = 0;
  for (const chunk of chunksOf(start.shapes, chunkValues)) {
    const to = await mean(chunk);
    const from = buffer.subarray(0, chunk.count);
    await start.read(chunk.name, chunk.from, from);
    for (let i = 0; i < from.length; i++) sum += ((to[i] as number) - (from[i] as number)) ** 2;
  }
  return sum;
}
