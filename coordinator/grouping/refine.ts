/**
 * Local search by an evaluator's values: moves of one client to another group (or to a new one), swaps of two clients, merges of two
 * groups. It knows nothing of the evaluator's method.
 *
 * Only promising changes are evaluated: those ranked first by the values of clients in the other groups (`valuesInGroups`), or all
 * changes where the evaluator does not give these. The approved changes of an iteration are applied together where they touch distinct
 * groups, and the resulting partition is evaluated again before it is kept, so the value never falls.
 */
import { throwIfAborted } from "../../shared/base/errors.js";
import type { PartitionConstraints } from "./constraints.js";
import type { PartitionEvaluator } from "./evaluator.js";
import { labelsOf, type Partition, partitionKey, partitionOf } from "./partition.js";

export interface RefineOptions {
  /** Largest number of partitions evaluated. */
  readonly budget: number;
  /** Keep the number of groups: no merges, no new groups. */
  readonly fixedGroups: boolean;
  /**
   * Standard errors that a move, swap or new group must gain: among hundreds evaluated some gain by chance alone. For a merge any gain
   * suffices.
   */
  readonly margin: number;
  /** Satisfied by every proposal; `start` must satisfy them. */
  readonly constraints: PartitionConstraints;
  readonly signal?: AbortSignal | undefined;
}

export interface Refined {
  readonly partition: Partition;
  readonly value: number;
  /** Number of partitions evaluated. */
  readonly evaluated: number;
  /** Changes made. */
  readonly changes: number;
  /** ln of the number of partitions that the search chose among: the sum over its changes of ln of the proposals evaluated for each. */
  readonly choices: number;
}

interface Change {
  /** Makes the change in labels of the partition. */
  readonly edit: (labels: Int32Array) => void;
  /** Groups that it touches. */
  readonly groups: readonly number[];
  /** Predicted gain. */
  readonly promise: number;
}

interface Proposal {
  readonly change: Change;
  readonly after: Partition;
}

/** A proposal that gains enough. */
interface Approved extends Proposal {
  readonly gain: number;
}

/** Changes evaluated in one iteration. */
const PROPOSALS = 48;
/** Consecutive iterations without an approved change after which the search ends, where proposals are ranked. */
const BARREN_ITERATIONS = 2;
const LEAST_GAIN = 1e-9;

export async function refinePartition(
  evaluator: PartitionEvaluator,
  start: Partition,
  clients: number,
  { budget, fixedGroups, margin, constraints, signal }: RefineOptions,
): Promise<Refined> {
  let partition = start;
  let value = (await evaluator.values([start]))[0]!;
  let evaluated = 1;
  let changes = 0;
  let choices = 0;
  let asked = 0;
  let barren = 0;
  const refused = new Set<string>();
  while (evaluated < budget) {
    throwIfAborted(signal);
    const possible = await propose(evaluator, partition, clients, fixedGroups, constraints);
    possible.sort((a, b) => b.promise - a.promise);
    const before = labelsOf(partition, clients);
    const proposals: Proposal[] = [];
    // 500 clients have a hundred thousand possible changes: only those to be evaluated are made.
    for (const change of possible) {
      if (proposals.length === Math.min(PROPOSALS, budget - evaluated)) break;
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
    evaluated += proposals.length;
    asked += proposals.length;
    const approved: Approved[] = [];
    for (const [at, { change, after }] of proposals.entries()) {
      const gain = values[at]! - value;
      // A merge needs no significance: fewer groups are the simpler hypothesis.
      const merges = after.length < partition.length;
      if (gain > LEAST_GAIN && (merges || gain > margin * (await evaluator.compare(after, partition)).standardError))
        approved.push({ change, after, gain });
      else refused.add(partitionKey(after));
    }
    if (approved.length === 0) {
      // Where all changes were evaluated this is a local optimum. Where proposals are ranked, the next ones promise less than these:
      // two iterations without success are enough, or one whose last proposal promised no gain.
      barren++;
      const ranked = evaluator.valuesInGroups !== undefined;
      const promising = proposals.at(-1)!.change.promise > 0;
      if (proposals.length < PROPOSALS || (ranked && (barren === BARREN_ITERATIONS || !promising))) break;
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
    // The value may have been approximated from the partition before: it is computed again.
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
  return { partition, value, evaluated, changes, choices };
}

/** The approved changes that touch distinct groups, applied together; undefined where there is only one such change. */
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
    // A new group: only where all changes are tried. In larger populations the candidates provide single clients.
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
        // The sum of the members' gains in the other group, unchanged; the larger group has little to gain, so half the sum counts.
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
