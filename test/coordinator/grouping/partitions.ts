/** All partitions of n items, for comparison with brute force: 877 at 7, 4140 at 8, 21147 at 9. */
import { type Partition, partitionOf } from "../../../coordinator/grouping/partition.js";

export function* allPartitions(n: number): Generator<Partition> {
  const labels = new Int32Array(n);
  function* extend(at: number, used: number): Generator<Partition> {
    if (at === n) {
      yield partitionOf(labels);
      return;
    }
    for (let c = 0; c <= used; c++) {
      labels[at] = c;
      yield* extend(at + 1, Math.max(used, c + 1));
    }
  }
  yield* extend(0, 0);
}
