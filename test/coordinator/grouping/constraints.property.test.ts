import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PartitionConstraints } from "../../../coordinator/grouping/constraints.js";
import { exactEvaluator } from "../../../coordinator/grouping/evaluator.js";
import { groupClients } from "../../../coordinator/grouping/group.js";
import { checkPartition, labelsOf, type Partition } from "../../../coordinator/grouping/partition.js";
import { SeededRng } from "../../../shared/base/random.js";

const name = (i: number) => `client-${i}`;

/** Constraints that some partition is known to keep, and values that pull elsewhere. */
function satisfiable(n: number, groups: number, seed: number) {
  const rng = new SeededRng(seed, "constraints-test", n, groups);
  const labels = Int32Array.from({ length: n }, (_, i) => (i < groups ? i : rng.int(groups)));
  const sizes = Array.from({ length: groups }, (_, c) => labels.filter((label) => label === c).length);
  const pairs = (same: boolean) => {
    const found: string[][] = [];
    for (let attempt = 0; attempt < n; attempt++) {
      const [i, j] = [rng.int(n), rng.int(n)];
      if (i !== j && (labels[i] === labels[j]) === same && rng.uniform() < 0.4) found.push([name(i), name(j)]);
    }
    return found;
  };
  const constraints = {
    minSize: Math.min(...sizes),
    maxSize: Math.max(...sizes),
    together: pairs(true),
    apart: pairs(false),
  };
  const affinity = Array.from({ length: n }, () => Float64Array.from({ length: n }, () => rng.normal()));
  return { constraints, affinity, labels };
}

function keeps(partition: Partition, n: number, { constraints }: ReturnType<typeof satisfiable>): void {
  checkPartition(partition, n);
  const labels = labelsOf(partition, n);
  const of = (client: string) => labels[Number(client.slice("client-".length))];
  for (const group of partition)
    assert.ok(group.length >= constraints.minSize && group.length <= constraints.maxSize, `a group of ${group.length}`);
  for (const [a, b] of constraints.together) assert.equal(of(a!), of(b!), `${a} and ${b} share a group`);
  for (const [a, b] of constraints.apart) assert.notEqual(of(a!), of(b!), `${a} and ${b} share no group`);
}

test("every candidate satisfies sizes and constraints: roundings, merges, moves and swaps", async () => {
  let judged = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 3, max: 14 }),
      fc.integer({ min: 1, max: 4 }),
      fc.nat(10_000),
      async (n, m, seed) => {
        const groups = Math.min(n, m);
        const problem = satisfiable(n, groups, seed);
        const constraints = new PartitionConstraints(
          Array.from({ length: n }, (_, i) => name(i)),
          problem.constraints,
        );
        const value = (partition: Partition) => {
          judged++;
          keeps(partition, n, problem);
          return partition.reduce(
            (sum, group) =>
              sum + group.reduce((inner, i) => inner + group.reduce((s, j) => s + problem.affinity[i]![j]!, 0), 0),
            0,
          );
        };
        // What is compared with is one group for all, kept or not.
        const exact = exactEvaluator((partition) =>
          partition.length === 1 && !constraints.allows(partition) ? 0 : value(partition),
        );
        const found = await groupClients(problem.affinity, { evaluator: exact, constraints, budget: 150 });
        keeps(found.partition, n, problem);
        for (const candidate of found.candidates) keeps(candidate.partition, n, problem);
        const { partition } = await groupClients(problem.affinity, { groups, constraints });
        keeps(partition, n, problem);
        assert.equal(partition.length, groups);
      },
    ),
    { numRuns: 40 },
  );
  assert.ok(judged > 1000, `${judged} judged`);
});

test("a partition that violates constraints is repaired with few moves, at n = 200", () => {
  const n = 200;
  const groups = 8;
  const labels = Int32Array.from({ length: n }, (_, i) => i % groups);
  const matrix = Array.from({ length: n }, (_, i) =>
    Float64Array.from({ length: n }, (_, j) => (labels[i] === labels[j] ? 1 : 0)),
  );
  const constraints = new PartitionConstraints(
    Array.from({ length: n }, (_, i) => name(i)),
    {
      minSize: 20,
      maxSize: 30,
      together: [[name(0), name(1)]],
      apart: [[name(2), name(10), name(18)]],
    },
  );
  const planted = Array.from({ length: groups }, (_, c) => [...labels.keys()].filter((i) => i % groups === c));
  const mended = constraints.repaired(planted, matrix, 0);
  assert.ok(mended !== undefined && constraints.allows(mended) && mended.length === groups);
  const after = labelsOf(mended, n);
  const stayed = planted.reduce(
    (sum, group) => sum + Math.max(...mended.map((other) => other.filter((i) => group.includes(i)).length)),
    0,
  );
  assert.ok(stayed >= n - 4, `${n - stayed} clients moved for three constraints`);
  assert.equal(after[0], after[1]);
});

test("constraints that contradict each other are refused by name before any computation", () => {
  const names = ["ann", "bo", "cy", "di"];
  const make = (constraints: object) => () =>
    new PartitionConstraints(names, { together: [], apart: [], ...constraints });
  assert.throws(
    make({
      together: [
        ["ann", "bo"],
        ["bo", "cy"],
      ],
      apart: [["ann", "cy"]],
    }),
    /together and apart contradict each other: ann and cy must share a group \(ann, bo, cy\) and must not/,
  );
  assert.throws(make({ minSize: 3, maxSize: 2 }), /minSize 3 is above maxSize 2/);
  assert.throws(make({ together: [["ann", "bo", "cy"]], maxSize: 2 }), /3 clients in one group .* maxSize allows 2/);
  assert.throws(make({ minSize: 3, maxSize: 3 }), /4 clients cannot be split into groups of 3 to 3/);
  assert.throws(
    make({ minSize: 2, apart: [["ann", "bo", "cy"]] }),
    /with 3 clients apart: at least 3 and at most 2 groups/,
  );
  assert.doesNotThrow(
    make({ together: [["ann", "gone"]], apart: [["ann", "gone"]] }),
    "constraints on clients that left have no effect",
  );
});

test("a number of groups that the constraints exclude is refused", async () => {
  const affinity = Array.from({ length: 4 }, () => new Float64Array(4));
  const constraints = new PartitionConstraints(["a", "b", "c", "d"], { minSize: 2, together: [], apart: [] });
  await assert.rejects(
    groupClients(affinity, { groups: 3, constraints }),
    /groups: the constraints .* allow 1 to 2, got 3/,
  );
});
