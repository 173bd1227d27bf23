import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { density, improveDensity, standardiseAffinity } from "../../../coordinator/grouping/density.js";
import { exactEvaluator, type PartitionEvaluator } from "../../../coordinator/grouping/evaluator.js";
import { groupClients } from "../../../coordinator/grouping/group.js";
import {
  checkPartition,
  labelsOf,
  type Partition,
  partitionOf,
  randomPartition,
} from "../../../coordinator/grouping/partition.js";
import { adjustedRandIndex } from "../../../coordinator/grouping/rand-index.js";
import { SeededRng } from "../../../shared/base/random.js";
import { allPartitions } from "./partitions.js";

/** Affinities with groups i mod m, each row on a scale of its own. */
function plantedAffinity(n: number, m: number, noise: number, seed = 0): Float64Array[] {
  const rng = new SeededRng(seed, "affinity", n, m);
  return Array.from({ length: n }, (_, i) =>
    Float64Array.from({ length: n }, (_, j) => (1 + i) * ((i % m === j % m ? 1 : 0) + noise * rng.normal()) - 5 * i),
  );
}

test("rows are standardised over the others, so a row's scale and shift do not matter", () => {
  const affinity = plantedAffinity(9, 3, 0.4);
  const changed = affinity.map((row, i) => row.map((x) => 3 * (i + 1) * x - 100 * i));
  const [a, b] = [standardiseAffinity(affinity), standardiseAffinity(changed)];
  a.forEach((row, i) => {
    row.forEach((x, j) => {
      assert.ok(Math.abs(x - b[i]![j]!) < 1e-9);
      assert.equal(x, a[j]![i]);
    });
  });
  assert.deepEqual(
    standardiseAffinity([
      [1, 1],
      [2, 2],
    ]),
    [new Float64Array(2), new Float64Array(2)],
  );
  assert.throws(
    () =>
      standardiseAffinity([
        [0, Number.NaN],
        [0, 0],
      ]),
    /affinity of client 0 with 1 must be finite, got NaN/,
  );
  assert.throws(() => standardiseAffinity([[0, 1], [0]]), /row 1 has 1 entries, expected 2/);
});

test("a forced number of groups has the highest density of all partitions with that many", async () => {
  let exact = 0;
  let worst = 1;
  const runs = 24;
  for (let seed = 0; seed < runs; seed++) {
    const n = 7 + (seed % 2);
    const affinity = plantedAffinity(n, 3, 0.3 + 0.1 * (seed % 8), seed);
    const standardised = standardiseAffinity(affinity);
    const groups = 2 + (seed % 3);
    let best = Number.NEGATIVE_INFINITY;
    for (const partition of allPartitions(n))
      if (partition.length === groups) best = Math.max(best, density(standardised, partition));
    const found = density(standardised, (await groupClients(affinity, { groups })).partition);
    assert.ok(found <= best + 1e-9);
    if (found > best - 1e-9) exact++;
    worst = Math.min(worst, found / best);
  }
  // Noise of the size of the groups' own bonus among them: a rounding may miss the optimum there, but not by much.
  assert.ok(exact >= runs - 2, `${exact} of ${runs} exact`);
  assert.ok(worst > 0.95, `worst ${worst}`);
});

test("with an evaluator the best of all partitions is found, with any number of groups", async () => {
  let exact = 0;
  const runs = 20;
  for (let seed = 0; seed < runs; seed++) {
    const n = 7;
    const rng = new SeededRng(seed, "evaluator");
    const truth = Int32Array.from({ length: n }, () => rng.int(1 + (seed % 4)));
    const gain = Array.from({ length: n }, (_, i) =>
      Float64Array.from({ length: n }, (_, j) => (truth[i] === truth[j] ? 1 : -1) + 0.5 * rng.normal()),
    );
    // The affinities are a noisy view of the clients' true gains.
    const value = (partition: Partition) => {
      let sum = 0;
      for (const group of partition)
        for (const i of group) for (const j of group) if (i !== j) sum += gain[i]![j]! / Math.sqrt(group.length);
      return sum;
    };
    const affinity = gain.map((row) => row.map((x) => x + rng.normal()));
    let best = Number.NEGATIVE_INFINITY;
    for (const partition of allPartitions(n)) best = Math.max(best, value(partition));
    const { partition } = await groupClients(affinity, { evaluator: exactEvaluator(value) });
    checkPartition(partition, n);
    if (value(partition) > best - 1e-9) exact++;
    assert.ok(value(partition) >= value([[0, 1, 2, 3, 4, 5, 6]]), "never below one group");
  }
  assert.ok(exact >= runs - 2, `${exact} of ${runs} are the best of all partitions`);
});

test("five planted groups of twelve clients are found, by the relaxation and by spectral clustering", async () => {
  const affinity = plantedAffinity(60, 5, 0.8);
  const planted = Int32Array.from({ length: 60 }, (_, i) => i % 5);
  for (const method of ["sdp", "spectral"] as const) {
    const { partition } = await groupClients(affinity, { groups: 5, method });
    assert.equal(adjustedRandIndex(labelsOf(partition, 60), planted), 1, method);
  }
});

test("the evaluator's choice is the planted number of groups at n = 60", async () => {
  const planted = partitionOf(Int32Array.from({ length: 60 }, (_, i) => i % 5));
  const labels = labelsOf(planted, 60);
  const evaluator = exactEvaluator((partition) => adjustedRandIndex(labelsOf(partition, 60), labels));
  const grouping = await groupClients(plantedAffinity(60, 5, 0.8), { evaluator, budget: 60 });
  assert.deepEqual(grouping.partition, planted);
  assert.equal(grouping.candidates[grouping.chosen]!.partition, grouping.partition);
  assert.ok(grouping.candidates.some(({ source }) => source === "one"));
});

test("a gain within its standard error does not split, a clear one does", async () => {
  const affinity = plantedAffinity(12, 3, 0.3);
  const evaluator = (gain: number, standardError: number): PartitionEvaluator => ({
    values: async (partitions) => partitions.map((partition) => (partition.length > 1 ? gain : 0)),
    compare: async (a, b) => ({ gain: gain * (Number(a.length > 1) - Number(b.length > 1)), standardError }),
  });
  const unclear = await groupClients(affinity, { evaluator: evaluator(0.1, 0.07), budget: 30 });
  assert.equal(unclear.partition.length, 1);
  assert.match(unclear.why, /one group: .* gain only 0\.1000 ± 0\.0700 more/);
  const clear = await groupClients(affinity, { evaluator: evaluator(0.1, 0.03), budget: 30 });
  assert.equal(clear.partition.length, 2, "and then the fewest groups");
  const forced = await groupClients(affinity, { evaluator: evaluator(0.1, 0.07), groups: 3, budget: 30 });
  assert.equal(forced.partition.length, 3);
});

test("twelve clients whose best groups are single clients stay single", async () => {
  const evaluator = exactEvaluator((partition) => partition.length / 12);
  const { partition } = await groupClients(plantedAffinity(12, 3, 0.3), { evaluator });
  assert.equal(partition.length, 12);
});

test("a search that finds what chance gives does not split", async () => {
  const n = 16;
  for (let seed = 0; seed < 8; seed++) {
    // Each client's value in each group is chance alone, and the evaluator knows how large it is.
    const clientValue = (i: number, group: readonly number[]) =>
      new SeededRng(seed, "chance", i, [...group].sort((a, b) => a - b).join()).normal();
    const value = (partition: Partition) => {
      let sum = 0;
      for (const group of partition) for (const i of group) sum += clientValue(i, group) / n;
      return sum;
    };
    const evaluator: PartitionEvaluator = {
      values: async (partitions) => partitions.map(value),
      compare: async (a, b) => ({ gain: value(a) - value(b), standardError: Math.sqrt(2 / n) }),
    };
    const { partition, why, candidates } = await groupClients(plantedAffinity(n, 4, 2, seed), { evaluator });
    assert.equal(partition.length, 1, `seed ${seed}: ${why}`);
    const searched = candidates.filter(({ source }) => source === "refined" || source === "merged");
    assert.ok(searched.some(({ gainOverOne }) => gainOverOne! > 0));
  }
});

test("every client ends in exactly one group for any affinities", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 9 }).chain((n) =>
        fc.record({
          affinity: fc.array(
            fc.array(fc.oneof(fc.double({ min: -1e6, max: 1e6, noNaN: true }), fc.constant(0)), {
              minLength: n,
              maxLength: n,
            }),
            {
              minLength: n,
              maxLength: n,
            },
          ),
          groups: fc.integer({ min: 1, max: n }),
        }),
      ),
      async ({ affinity, groups }) => {
        const { partition } = await groupClients(affinity, { groups });
        checkPartition(partition, affinity.length);
        assert.equal(partition.length, groups);
      },
    ),
    { numRuns: 60 },
  );
});

test("moves never lower the density", () => {
  const standardised = standardiseAffinity(plantedAffinity(20, 4, 1));
  for (let seed = 0; seed < 10; seed++) {
    const start = randomPartition(20, 4, seed);
    const better = improveDensity(standardised, start);
    checkPartition(better, 20);
    assert.ok(density(standardised, better) >= density(standardised, start));
  }
});

test("the adjusted Rand index is 1 for the same groups, about 0 by chance, and scikit-learn's for a known case", () => {
  assert.equal(adjustedRandIndex([0, 0, 1, 1], ["b", "b", "a", "a"]), 1);
  assert.equal(adjustedRandIndex([0, 0, 0], [1, 1, 1]), 1);
  assert.ok(Math.abs(adjustedRandIndex([0, 0, 1, 1], [0, 0, 1, 2]) - 0.5714285714285714) < 1e-12);
  let sum = 0;
  for (let seed = 0; seed < 50; seed++)
    sum += adjustedRandIndex(
      labelsOf(randomPartition(40, 4, seed), 40),
      labelsOf(randomPartition(40, 4, 1000 + seed), 40),
    );
  assert.ok(Math.abs(sum / 50) < 0.03, `${sum / 50}`);
});

test("a partition that drops or repeats a client is refused", () => {
  assert.throws(() => checkPartition([[0], [2]], 3));
  assert.throws(() =>
    checkPartition(
      [
        [0, 1],
        [1, 2],
      ],
      3,
    ),
  );
  assert.throws(() => checkPartition([[0, 1, 2], []], 3));
});

test("options out of range are refused with name and value", async () => {
  const affinity = plantedAffinity(4, 2, 0.1);
  await assert.rejects(groupClients(affinity, { groups: 5 }), /groups must be "auto" or 1\.\.4 .*got 5/);
  await assert.rejects(groupClients(affinity), /needs an evaluator/);
  await assert.rejects(groupClients([], { groups: 1 }), /at least one client/);
});
