/**
 * Krum and multi-Krum (Blanchard et al. 2017, arXiv 1703.02757): of n updates, `byzantine` of which may be hostile, the one whose
 * n - byzantine - 2 closest others are nearest; or the mean of the `keep` best ones. Updates are not weighted.
 *
 * The distances of all pairs take n (n - 1) / 2 passes over an adapter's values: 5e10 subtractions for 100 updates of 10 million
 * values.
 */
import { collecting, Rows, type Rule, weightedSum } from "./aggregation.js";
import { momentumStep } from "./server-step.js";
import { type StepSettings, stepOf } from "./settings.js";
import type { Strategy, Update, Work } from "./strategy.js";
import { chunksOf } from "./tensors.js";

export interface KrumSettings extends StepSettings {
  /** Hostile updates that a round bears; auto, and at most: (n - 3) / 2 of its n updates, the most that the paper's proof bears. */
  readonly byzantine: "auto" | number;
  /** Updates that are averaged. 1: Krum. */
  readonly keep: number;
}

export function krum({ byzantine, keep, ...settings }: KrumSettings): Strategy {
  return {
    name: "krum",
    begin: (round, work) =>
      collecting(round, async (updates) => {
        const chosen = await best(updates, work, byzantine, keep);
        return momentumStep(work, plainMean(chosen, work), stepOf(settings));
      }),
  };
}

function plainMean(updates: readonly Update[], work: Work): Rule {
  return weightedSum(updates, new Float64Array(updates.length).fill(1 / updates.length), work);
}

/** The updates with the lowest scores, in the clients' order; the earlier client where scores are equal. */
async function best(
  updates: readonly Update[],
  work: Work,
  byzantine: "auto" | number,
  keep: number,
): Promise<readonly Update[]> {
  const n = updates.length;
  // Of one or two updates neither is nearer to the others.
  if (n < 3) return updates;
  const most = Math.floor((n - 3) / 2);
  const neighbours = n - 2 - (byzantine === "auto" ? most : Math.min(byzantine, most));
  const distances = await squaredDistances(updates, work);
  const scores = updates.map((_, i) => {
    const others = distances.slice(i * n, (i + 1) * n).filter((__, j) => j !== i);
    return others
      .sort()
      .subarray(0, neighbours)
      .reduce((sum, distance) => sum + distance, 0);
  });
  const order = updates.map((_, i) => i).sort((a, b) => (scores[a] as number) - (scores[b] as number) || a - b);
  const kept = new Set(order.slice(0, keep));
  return updates.filter((_, i) => kept.has(i));
}

/** Squared distances of all pairs. @returns row-major [updates, updates] */
async function squaredDistances(updates: readonly Update[], work: Work): Promise<Float64Array> {
  const n = updates.length;
  const rows = new Rows(updates, work);
  const distances = new Float64Array(n * n);
  for (const chunk of chunksOf(work.shapes, rows.most)) {
    await rows.read(chunk);
    for (let i = 0; i < n; i++) {
      const a = rows.row(i, chunk.count);
      for (let j = i + 1; j < n; j++) {
        const b = rows.row(j, chunk.count);
        // Carried from chunk to chunk: a sum of sums would depend on where the chunks end.
        let sum = distances[i * n + j] as number;
        for (let k = 0; k < a.length; k++) sum += ((a[k] as number) - (b[k] as number)) ** 2;
        distances[i * n + j] = sum;
        const turn = work.yieldToEventLoop();
        if (turn !== undefined) await turn;
      }
    }
  }
  for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) distances[i * n + j] = distances[j * n + i] as number;
  return distances;
}
