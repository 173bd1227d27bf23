/**
 * Constraints on a partition: sizes, clients that must share a group and clients that must not. Checks a partition, and repairs one that
 * violates constraints by moves and swaps. It knows nothing of evaluators.
 */
import { KindredError } from "../../shared/base/errors.js";
import { contradiction, type GroupConstraints, mergedLists } from "../../shared/base/group-constraints.js";
import { SeededRng } from "../../shared/base/random.js";
import type { SquareMatrix } from "./density.js";
import { labelsOf, type Partition, partitionOf } from "./partition.js";

export interface GroupCounts {
  readonly fewest: number;
  readonly most: number;
}

/** Attempts to repair a partition, each from another start. */
const STARTS = 8;
/** Steps of an attempt, per block of clients. */
const STEPS = 4;

export class PartitionConstraints {
  /** The numbers of groups that the constraints allow. */
  readonly counts: GroupCounts;
  /** Whether there are any constraints. */
  readonly any: boolean;
  /** Per client: the clients that must be in its group, itself included. */
  private readonly blockOf: readonly (readonly number[])[];
  /** Per client: the clients that must not be in its group. */
  private readonly excluded: readonly ReadonlySet<number>[];
  private readonly minSize: number;
  private readonly maxSize: number;

  /**
   * @param names the clients, in the order of the affinity's rows; constraints on other clients have no effect
   * @throws {KindredError} `invalid_option` where the constraints contradict each other or allow no number of groups
   */
  constructor(names: readonly string[], constraints: GroupConstraints) {
    const n = names.length;
    const index = new Map(names.map((name, i) => [name, i]));
    const known = (lists: readonly (readonly string[])[]) =>
      lists.map((list) => list.filter((name) => index.has(name)));
    const { minSize = 1, maxSize = n } = constraints;
    const here = { together: known(constraints.together), apart: known(constraints.apart) };
    const refuse = (message: string) => new KindredError("invalid_option", `grouping: ${message}`, { clients: n });
    const fault = contradiction({ ...constraints, together: here.together, apart: here.apart });
    if (fault !== undefined) throw refuse(fault);
    this.minSize = minSize;
    this.maxSize = Math.min(maxSize, n);
    const blockOf: (readonly number[])[] = names.map((_, i) => [i]);
    for (const block of mergedLists(here.together)) {
      const members = block.map((name) => index.get(name)!);
      for (const i of members) blockOf[i] = members;
    }
    const excluded = names.map(() => new Set<number>());
    let most = 0;
    for (const list of here.apart) {
      const members = [...new Set(list)].map((name) => index.get(name)!);
      most = Math.max(most, members.length);
      for (const i of members) for (const j of members) if (i !== j) excluded[i]!.add(j);
    }
    this.blockOf = blockOf;
    this.excluded = excluded;
    const blocks = new Set(blockOf).size;
    this.counts = {
      fewest: Math.max(1, Math.ceil(n / this.maxSize), most),
      most: Math.min(blocks, Math.floor(n / minSize)),
    };
    if (this.counts.fewest > this.counts.most)
      throw refuse(
        `${n} clients cannot be split into groups of ${minSize} to ${this.maxSize}${most > 1 ? ` with ${most} clients apart` : ""}${blocks < n ? ` and ${n - blocks + 1} or more together` : ""}: at least ${this.counts.fewest} and at most ${this.counts.most} groups would be needed`,
      );
    this.any = minSize > 1 || maxSize < n || blocks < n || most > 1;
  }

  /** The clients that must be in this client's group, itself included. */
  block(client: number): readonly number[] {
    return this.blockOf[client]!;
  }

  allows(partition: Partition): boolean {
    if (!this.any) return true;
    return this.violations(labelsOf(partition, this.blockOf.length), partition.length) === 0;
  }

  /** Number of violations: clients above and below the sizes, pairs that must be apart, clients separated from their block. */
  private violations(labels: Int32Array, groups: number): number {
    const size = new Int32Array(groups);
    let count = 0;
    labels.forEach((label, i) => {
      size[label]!++;
      if (labels[this.blockOf[i]![0]!] !== label) count++;
      for (const j of this.excluded[i]!) if (j < i && labels[j] === label) count++;
    });
    for (const s of size) count += Math.max(0, s - this.maxSize) + Math.max(0, this.minSize - s);
    return count;
  }

  /**
   * A partition with the same number of groups that satisfies all constraints, near the given one: blocks are moved and swapped while
   * this lowers the number of violations, at the least cost in affinity. Undefined where no start leads to one.
   */
  repaired(partition: Partition, affinity: SquareMatrix, seed: number): Partition | undefined {
    if (this.allows(partition)) return partition;
    const n = this.blockOf.length;
    const groups = partition.length;
    if (groups < this.counts.fewest || groups > this.counts.most) return undefined;
    const blocks = [...new Set(this.blockOf)];
    for (let start = 0; start < STARTS; start++) {
      const rng = new SeededRng(seed, "constraints", groups, start);
      const labels = labelsOf(partition, n);
      for (const block of blocks) {
        // A block goes to the group with most of its members; further starts choose some groups at random.
        const to = start > 0 && rng.uniform() < start / STARTS ? rng.int(groups) : mostCommon(block, labels);
        for (const i of block) labels[i] = to;
      }
      if (this.walk(labels, groups, blocks, affinity, rng)) {
        const found = partitionOf(labels);
        if (found.length === groups) return found;
      }
    }
    return undefined;
  }

  /** Changes labels in place. @returns whether they satisfy all constraints at the end */
  private walk(
    labels: Int32Array,
    groups: number,
    blocks: readonly (readonly number[])[],
    affinity: SquareMatrix,
    rng: SeededRng,
  ): boolean {
    const size = new Int32Array(groups);
    for (const label of labels) size[label]!++;
    const move = (block: readonly number[], to: number) => {
      size[labels[block[0]!]!]! -= block.length;
      size[to]! += block.length;
      for (const i of block) labels[i] = to;
    };
    const off = (count: number) => Math.max(0, count - this.maxSize) + Math.max(0, this.minSize - count);
    const met = (block: readonly number[], group: number) => {
      let count = 0;
      for (const i of block) for (const j of this.excluded[i]!) if (labels[j] === group) count++;
      return count;
    };
    /** Violations that a move adds. */
    const change = (block: readonly number[], to: number) => {
      const from = labels[block[0]!]!;
      const [left, joined] = [size[from]! - block.length, size[to]! + block.length];
      return off(left) - off(size[from]!) + off(joined) - off(size[to]!) + met(block, to) - met(block, from);
    };
    const pull = (block: readonly number[], to: number) => {
      let sum = 0;
      let count = 0;
      labels.forEach((label, j) => {
        if (label !== to || block.includes(j)) return;
        count++;
        for (const i of block) sum += affinity[i]![j]!;
      });
      return count === 0 ? 0 : sum / (count * block.length);
    };
    let now = this.violations(labels, groups);
    for (let step = 0; now > 0 && step < STEPS * blocks.length; step++) {
      let best: { block: readonly number[]; to: number } | undefined;
      let least = 0;
      let most = Number.NEGATIVE_INFINITY;
      for (const block of blocks) {
        const from = labels[block[0]!]!;
        for (let to = 0; to < groups; to++) {
          const added = to === from ? 0 : change(block, to);
          if (added >= 0 || added > least) continue;
          const gain = pull(block, to) - pull(block, from);
          if (added === least && gain <= most) continue;
          [best, least, most] = [{ block, to }, added, gain];
        }
      }
      if (best !== undefined) {
        move(best.block, best.to);
        now += least;
        continue;
      }
      // No single move helps: the first swap that does, in random order.
      const before = now;
      for (const at of rng.permutation(blocks.length ** 2)) {
        const [a, b] = [blocks[Math.floor(at / blocks.length)]!, blocks[at % blocks.length]!];
        const [ofA, ofB] = [labels[a[0]!]!, labels[b[0]!]!];
        if (ofA === ofB) continue;
        let added = change(a, ofB);
        move(a, ofB);
        added += change(b, ofA);
        if (added < 0) {
          move(b, ofA);
          now += added;
          break;
        }
        move(a, ofA);
      }
      if (now === before) return false;
    }
    return now === 0;
  }
}

function mostCommon(block: readonly number[], labels: Int32Array): number {
  const counts = new Map<number, number>();
  for (const i of block) counts.set(labels[i]!, (counts.get(labels[i]!) ?? 0) + 1);
  return [...counts].reduce((best, entry) => (entry[1] > best[1] ? entry : best))[0];
}
