/** Partitions of clients as plain values. It knows nothing of the origin of a partition. */
import { KindredError } from "../../shared/base/errors.js";
import { SeededRng } from "../../shared/base/random.js";

/** Groups of client indices: every client in exactly one group, no empty group; members ascending, groups by their first member. */
export type Partition = readonly (readonly number[])[];

/** The partition by one label per client, in canonical order; unused labels give no group. */
export function partitionOf(labels: ArrayLike<number>): Partition {
  const groups = new Map<number, number[]>();
  for (let i = 0; i < labels.length; i++) {
    const group = groups.get(labels[i]!);
    if (group === undefined) groups.set(labels[i]!, [i]);
    else group.push(i);
  }
  return [...groups.values()];
}

/** Group of each of n clients, numbered in the partition's order. */
export function labelsOf(partition: Partition, clients: number): Int32Array {
  const labels = new Int32Array(clients).fill(-1);
  partition.forEach((group, c) => {
    for (const i of group) labels[i] = c;
  });
  return labels;
}

/** @throws {KindredError} `internal` unless every one of n clients is in exactly one group and no group is empty */
export function checkPartition(partition: Partition, clients: number): void {
  const seen = new Uint8Array(clients);
  let count = 0;
  for (const group of partition) {
    if (group.length === 0) throw new KindredError("internal", "a partition holds an empty group");
    for (const i of group) {
      if (!Number.isInteger(i) || i < 0 || i >= clients || seen[i])
        throw new KindredError("internal", `client ${i} is unknown or in two groups`);
      seen[i] = 1;
      count++;
    }
  }
  if (count !== clients) throw new KindredError("internal", `${count} of ${clients} clients are in a group`);
}

/** Random groups whose sizes differ by at most one: a baseline. */
export function randomPartition(clients: number, groups: number, seed: number): Partition {
  const order = new SeededRng(seed, "random-groups").permutation(clients);
  const labels = new Int32Array(clients);
  order.forEach((i, at) => {
    labels[i] = at % groups;
  });
  return partitionOf(labels);
}

/** Equal for the same groups in any order. */
export function partitionKey(partition: Partition): string {
  return partition
    .map((group) => [...group].sort((a, b) => a - b).join(","))
    .sort()
    .join(";");
}
