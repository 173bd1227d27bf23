import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import {
  agglomerativeGroups,
  coClusterGroups,
  coClusters,
  cosineAffinity,
  groupsByEigengap,
} from "../../../coordinator/grouping/baselines.js";
import { BASELINES } from "../../../coordinator/grouping/candidates.js";
import { standardiseAffinity } from "../../../coordinator/grouping/density.js";
import { groupClients } from "../../../coordinator/grouping/group.js";
import { checkPartition, labelsOf } from "../../../coordinator/grouping/partition.js";
import { adjustedRandIndex } from "../../../coordinator/grouping/rand-index.js";
import { asset } from "../../../shared/base/assets.js";
import { plantedAffinity } from "../../../simulations/benchmarks/sdp.js";

interface Case {
  name: string;
  groups: number;
  affinity: number[][];
  rows: number[];
  linkage: number[];
}
const cases = JSON.parse(readFileSync(asset("test", "fixtures", "grouping", "baselines.json"), "utf8")) as Case[];

for (const { name, groups, affinity, rows, linkage } of cases)
  test(`co-clusters and average linkage are scikit-learn's: ${name}`, () => {
    assert.equal(adjustedRandIndex(coClusters(affinity, groups, 0), rows), 1);
    const symmetric = affinity.map((row, i) => Float64Array.from(row, (x, j) => (x + affinity[j]![i]!) / 2));
    assert.equal(adjustedRandIndex(labelsOf(agglomerativeGroups(symmetric, groups), rows.length), linkage), 1);
  });

test("every baseline gives groups, and all except the random one find planted groups with little noise", async () => {
  const n = 30;
  const affinity = plantedAffinity(n, 3, 0.3);
  const planted = affinity.map((_, i) => i % 3);
  for (const method of BASELINES) {
    const { partition } = await groupClients(affinity, { groups: 3, method });
    checkPartition(partition, n);
    assert.equal(partition.length, 3);
    const found = adjustedRandIndex(labelsOf(partition, n), planted);
    if (method === "random") assert.ok(found < 0.3, `${found} by chance`);
    else assert.equal(found, 1, method);
  }
});

test("the eigengap finds the planted number of groups", async () => {
  for (const groups of [2, 3, 6]) assert.equal(await groupsByEigengap(plantedAffinity(48, groups, 0.6), 12), groups);
});

test("cosines depend on directions alone, and a client without a gradient has a cosine of zero with all", () => {
  const cosine = cosineAffinity([
    Float64Array.of(1, 0),
    Float64Array.of(-3, 0),
    Float64Array.of(3, 4),
    new Float64Array(2),
  ]);
  assert.deepEqual(
    Array.from(cosine[0]!, (x) => Number(x.toFixed(3))),
    [1, -1, 0.6, 0],
  );
  assert.deepEqual(Array.from(cosine[3]!), [0, 0, 0, 0]);
});

test("affinities without structure still give a partition", () => {
  const flat = Array.from({ length: 6 }, () => new Float64Array(6).fill(-2));
  checkPartition(coClusterGroups(flat, 3, 0), 6);
  const linked = agglomerativeGroups(standardiseAffinity(flat), 3);
  checkPartition(linked, 6);
  assert.equal(linked.length, 3);
});
