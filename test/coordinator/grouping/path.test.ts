import assert from "node:assert/strict";
import { test } from "node:test";
import { standardiseAffinity } from "../../../coordinator/grouping/density.js";
import { groupsByPath } from "../../../coordinator/grouping/path.js";
import { plantedAffinity } from "../../../simulations/benchmarks/sdp.js";

const count = (clients: number, groups: number, noise: number): Promise<number> =>
  groupsByPath(standardiseAffinity(plantedAffinity(clients, groups, noise)), Math.ceil(1.5 * Math.sqrt(clients)), {
    seed: 0,
    signal: undefined,
  });

for (const groups of [2, 3, 5])
  test(`the longest range of the path of lambda is at ${groups} planted groups`, async () => {
    assert.equal(await count(24, groups, 0.3), groups);
  });

test("one client and two have no path", async () => {
  assert.equal(await groupsByPath([Float64Array.of(1)], 3, { seed: 0, signal: undefined }), 1);
  assert.equal(await count(2, 2, 0.1), 2);
});
