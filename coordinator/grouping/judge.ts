/**
 * What grouping asks of whoever judges a partition. The estimator's judge fits this shape; grouping itself knows nothing of
 * estimation, losses or sketches.
 */
import type { Partition } from "./partition.js";

export interface PartitionJudge {
  /**
   * Value of each partition, higher is better. Asked together, so that shared work is shared.
   * @param near a partition that these differ from by a client or two: the values may then be estimated from its own
   */
  values(partitions: readonly Partition[], near?: Partition): Promise<ArrayLike<number>>;
  /** Value of the one minus value of the other, and the standard error of that difference. */
  compare(
    candidate: Partition,
    reference: Partition,
  ): Promise<{ readonly gain: number; readonly standardError: number }>;
  /** How each client would fare in each group as it is: [clients][groups]. Proposes moves; all are tried where it is absent. */
  forecast?(partition: Partition): Promise<readonly ArrayLike<number>[]>;
}

/** A judge from a plain function, taken to be exact. Each partition is asked about once. */
export function exactJudge(value: (partition: Partition) => number | Promise<number>): PartitionJudge {
  return {
    values: async (partitions) => Promise.all(partitions.map(value)),
    compare: async (candidate, reference) => ({
      gain: (await value(candidate)) - (await value(reference)),
      standardError: 0,
    }),
  };
}
