/**
 * The interface of an evaluator of partitions. The estimator's evaluator implements it; grouping itself knows nothing of estimation,
 * losses or sketches.
 */
import type { Partition } from "./partition.js";

export interface PartitionEvaluator {
  /**
   * Value of each partition, higher is better. One call for many partitions shares work between them.
   * @param near a partition from which each of these differs by a client or two: the values may then be approximated from its own
   */
  values(partitions: readonly Partition[], near?: Partition): Promise<ArrayLike<number>>;
  /** Value of the candidate minus value of the reference, and the standard error of that difference. */
  compare(
    candidate: Partition,
    reference: Partition,
  ): Promise<{ readonly gain: number; readonly standardError: number }>;
  /**
   * Value of each client in each group of the partition without changing the group: [clients][groups]. The search ranks moves by it, and
   * tries all moves where it is absent.
   */
  valuesInGroups?(partition: Partition): Promise<readonly ArrayLike<number>[]>;
}

/** An evaluator from a plain function, with standard errors of 0. */
export function exactEvaluator(value: (partition: Partition) => number | Promise<number>): PartitionEvaluator {
  return {
    values: async (partitions) => Promise.all(partitions.map(value)),
    compare: async (candidate, reference) => ({
      gain: (await value(candidate)) - (await value(reference)),
      standardError: 0,
    }),
  };
}
