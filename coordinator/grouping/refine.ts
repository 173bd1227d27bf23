/**
 * Betters a partition by what an evaluator says: moves of one client to another group (or to one of its own), swaps of two clients,
 * merges of two groups. Knows nothing of what the evaluator looks at.
 *
 * Only changes that promise something are put to the evaluator: by its forecast (how a client would fare in the other groups as
 * they are), or all of them for small n. What a round approves is applied together where the groups are distinct, and the whole
 * is judged again before it is kept, so the value never falls.
 */
import { throwIfAborted } from "../../shared/base/errors.js";
import type { PartitionConstraints } from "./constraints.js";
import type { PartitionEvaluator } from "./evaluator.js";
import { labelsOf, type Partition, partitionKey, partitionOf } from "./partition.js";

export interface RefineOptions {
  /** Partitions put to the evaluator at most. */
  readonly budget: number;
  /** Keep the number of groups: no merges, no new groups. */
  readonly fixedGroups: boolean;
  /**
   * A move, swap or new group must gain this many of its standard errors: among hundreds put to the evaluator some gain by chance
   * alone. A merge need only gain.
   */
  readonly margin: number;
  /** What every proposal keeps; `start` must. */
  readonly constraints: PartitionConstraints;
  readonly signal?: AbortSignal | undefined;
}

export interface Refined {
  readonly partition: Partition;
  readonly value: number;
  /** Partitions put to the evaluator. */
  readonly judged: number;
  /** Changes made. */
  readonly changes: number;
  /** ln of how many partitions the search chose among: the sum over its changes of ln of the proposals judged for each. */
  readonly choices: number;
}

interface Change {
  /** Makes it, on labels of the partition. */
  readonly edit: (labels: Int32Array) => void;
  /** Groups that it touches. */
  readonly groups: readonly number[];
  /** What the forecast promises. */
  readonly promise: number;
}

/** Changes put to the evaluator in a round. */
const A_ROUND = 48;
const BARREN_ROUNDS = 2;
const LEAST_GAIN = 1e-9;

export async function refinePartition(
  evaluator: PartitionEvaluator,
  start: Partition,
  clients: number,
  { budget, fixedGroups, margin, constraints, signal }: RefineOptions,
): Promise<Refined> {
  let partition = start;
  let value = (await evaluator.values([start]))[0]!;
  let judged = 1;
  let changes = 0;
  let choices = 0;
  let asked = 0;
  let barren = 0;
  const refused = new Set<string>();
  while (judged < budget) {
    throwIfAborted(signal);
    const possible = await propose(evaluator, partition, clients, fixedGroups, constraints);
    possible.sort((a, b) => b.promise - a.promise);
    const before = labelsOf(partition, clients);
    const proposals: { change: Change; after: Partition }[] = [];
    // Of the hundred thousand that there are among 500 clients only those are made that are put to the evaluator.
    for (const change of possible) {
      if (proposals.length === Math.min(A_ROUND, budget - judged)) break;
      const labels = before.slice();
      change.edit(labels);
      const after = partitionOf(labels);
      if (constraints.allows(after) && !refused.has(partitionKey(after))) proposals.push({ change, after });
    }
    if (proposals.length === 0) break;
    const values = await evaluator.values(
      proposals.map(({ after }) => after),
      partition,
    );
    judged += proposals.length;
    asked += proposals.length;
    const approved: { change: Change; after: Partition; gain: number }[] = [];
    for (const [at, { change, after }] of proposals.entries()) {
      const gain = values[at]! - value;
      // Fewer groups need no proof: what they gain is gained with less.
      const merges = after.length < partition.length;
      if (gain > LEAST_GAIN && (merges || gain > margin * (await evaluator.compare(after, partition)).standardError))
        approved.push({ change, after, gain });
      else refused.add(partitionKey(after));
    }
    if (approved.length === 0) {
      // A local optimum where everything there is was asked about. Where an forecast ranks the proposals, the next ones promise
      // less than these: two rounds in vain are enough, and one whose last promised nothing.
      barren++;
      const promising = proposals.at(-1)!.change.promise > 0;
      if (
        proposals.length < A_ROUND ||
        (evaluator.valuesInGroups !== undefined && (barren === BARREN_ROUNDS || !promising))
      )
        break;
      continue;
    }
    approved.sort((a, b) => b.gain - a.gain);
    const together = combine(partition, approved, clients);
    const next =
      together !== undefined &&
      constraints.allows(together) &&
      (await evaluator.values([together], partition))[0]! > value + approved[0]!.gain
        ? together
        : approved[0]!.after;
    // What was approved by an estimate is judged again.
    const [exact] = Array.from(await evaluator.values([next]));
    if (!(exact! > value)) {
      for (const { after } of approved) refused.add(partitionKey(after));
      continue;
    }
    partition = next;
    value = exact!;
    changes++;
    choices += Math.log(asked);
    asked = 0;
    refused.clear();
    barren = 0;
  }
  return { partition, value, judged, changes, choices };
}

/** The approved changes that touch distinct groups, applied at once; undefined where only one can be. */
function combine(
  partition: Partition,
  approved: readonly { change: Change }[],
  clients: number,
): Partition | undefined {
  const before = labelsOf(partition, clients);
  const labels = before.slice();
  const touched = new Set<number>();
  let applied = 0;
  for (const { change } of approved) {
    if (change.groups.some((group) => touched.has(group) || group >= partition.length)) continue;
    for (const group of change.groups) touched.add(group);
    const after = before.slice();
    change.edit(after);
    for (let i = 0; i < clients; i++) if (after[i] !== before[i]) labels[i] = after[i]!;
    applied++;
  }
  return applied > 1 ? partitionOf(labels) : undefined;
}

async function propose(
  evaluator: PartitionEvaluator,
  partition: Partition,
  clients: number,
  fixedGroups: boolean,
  constraints: PartitionConstraints,
): Promise<Change[]> {
  const labels = labelsOf(partition, clients);
  const m = partition.length;
  const inGroups = await evaluator.valuesInGroups?.(partition);
  const changes: Change[] = [];
  const promised = (i: number, to: number) =>
    inGroups === undefined ? 0 : inGroups[i]![to]! - inGroups[i]![labels[i]!]!;
  const promisedAll = (block: readonly number[], to: number) => block.reduce((sum, i) => sum + promised(i, to), 0);
  const add = (promise: number, groups: readonly number[], edit: Change["edit"]) => {
    changes.push({ edit, groups, promise });
  };
  for (let i = 0; i < clients; i++) {
    const from = labels[i]!;
    // Clients that must share a group move as one, when the first of them does.
    const block = constraints.block(i);
    if (block[0] !== i) continue;
    const move = (after: Int32Array, to: number) => {
      for (const member of block) after[member] = to;
    };
    const alone = partition[from]!.length === block.length;
    if (!(alone && fixedGroups)) {
      for (let to = 0; to < m; to++)
        if (to !== from) add(promisedAll(block, to), [from, to], (after) => move(after, to));
    }
    // On its own: for small n alone, where everything is tried. A larger population's lone clients come from the candidates.
    if (!alone && !fixedGroups && inGroups === undefined) add(0, [from, m], (after) => move(after, m));
    for (let j = 0; j < i; j++) {
      const to = labels[j]!;
      const other = constraints.block(j);
      if (to === from || other[0] !== j) continue;
      const promise = promisedAll(block, to) + promisedAll(other, from);
      if (inGroups === undefined || promise > 0)
        add(promise, [from, to], (after) => {
          move(after, to);
          for (const member of other) after[member] = from;
        });
    }
  }
  if (!fixedGroups)
    for (let a = 0; a < m; a++)
      for (let b = 0; b < a; b++) {
        // What both groups' members would gain in the other as it is; the larger group has little to gain, so halves count.
        let promise = 0;
        if (inGroups !== undefined)
          for (let i = 0; i < clients; i++)
            if (labels[i] === a) promise += promised(i, b);
            else if (labels[i] === b) promise += promised(i, a);
        add(promise / 2, [a, b], (after) => {
          for (let i = 0; i < clients; i++) if (after[i] === a) after[i] = b;
        });
      }
  return changes;
}
