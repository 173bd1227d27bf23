import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { defaultSubsetSize, type SubsetPlan, sampleSubsets } from "../../../coordinator/estimation/sampler.js";
import { KindredError } from "../../../shared/base/errors.js";

function check(plan: SubsetPlan, clients: number): void {
  const pairs = new Map<string, number>();
  for (const subset of plan.subsets) {
    assert.equal(subset.length, plan.size);
    for (let a = 0; a < subset.length; a++) {
      assert.ok(subset[a]! >= 0 && subset[a]! < clients);
      if (a > 0) assert.ok(subset[a]! > subset[a - 1]!, "ascending, each client once");
      for (let b = 0; b < a; b++) {
        const key = `${subset[b]}-${subset[a]}`;
        pairs.set(key, (pairs.get(key) ?? 0) + 1);
      }
    }
  }
  assert.equal(pairs.size, (clients * (clients - 1)) / 2, "every pair is covered");
  if (clients > 1) {
    assert.equal(plan.pairCoverage.min, Math.min(...pairs.values()));
    assert.equal(plan.pairCoverage.max, Math.max(...pairs.values()));
  }
}

test("every pair of clients is covered for any number of clients, size and seed", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 40 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.integer(),
      (clients, share, seed) => {
        const size = clients === 1 ? 1 : 2 + Math.floor(share * (clients - 2));
        check(sampleSubsets(clients, { size, seed }), clients);
      },
    ),
    { numRuns: 60 },
  );
});

test("uniform subsets cover every pair too, with few additional subsets", () => {
  fc.assert(
    fc.property(fc.integer({ min: 3, max: 30 }), fc.integer(), (clients, seed) => {
      const size = Math.max(2, Math.floor(clients / 3));
      const plan = sampleSubsets(clients, { design: "uniform", size, subsets: 12, seed });
      check(plan, clients);
      assert.ok(plan.subsets.length >= 12 || plan.subsets.length === (clients * (clients - 1)) / 2);
    }),
    { numRuns: 40 },
  );
  // The designs differ in how unevenly they draw clients.
  const spread = (design: "uniform" | "balanced") => {
    const { clientCount } = sampleSubsets(40, { design, size: 8, subsets: 300, seed: 1 });
    return clientCount.max - clientCount.min;
  };
  assert.ok(spread("uniform") > 2 * spread("balanced"), `${spread("uniform")} against ${spread("balanced")}`);
});

test("the design of pairs has each pair once, and excludes a size and a number", () => {
  const plan = sampleSubsets(7, { design: "pairs" });
  check(plan, 7);
  assert.equal(plan.size, 2);
  assert.equal(plan.subsets.length, 21);
  assert.deepEqual(sampleSubsets(1, { design: "pairs" }).subsets, [Int32Array.of(0)]);
  for (const options of [{ size: 3 }, { subsets: 20 }])
    assert.throws(() => sampleSubsets(7, { design: "pairs", ...options }), /design: pairs takes all 21 pairs/);
});

test("one, two and three clients have subsets with the defaults", () => {
  assert.deepEqual(sampleSubsets(1).subsets, [Int32Array.of(0)]);
  assert.deepEqual(sampleSubsets(2).subsets, [Int32Array.of(0, 1)]);
  assert.deepEqual(sampleSubsets(3).subsets, [Int32Array.of(0, 1), Int32Array.of(0, 2), Int32Array.of(1, 2)]);
  assert.deepEqual(sampleSubsets(1).pairCoverage, { min: 0, mean: 0, max: 0 });
});

test("the paper's sizes are met exactly, with nearly equal numbers of subsets per client", () => {
  for (const [clients, subsets, size] of [
    [10, 50, 3],
    [100, 1000, 10],
  ] as const) {
    const plan = sampleSubsets(clients, { subsets, size, seed: 3 });
    assert.equal(plan.subsets.length, subsets);
    check(plan, clients);
    const mean = (subsets * size) / clients;
    assert.ok(
      plan.clientCount.max <= 1.15 * mean && plan.clientCount.min >= 0.85 * mean,
      JSON.stringify(plan.clientCount),
    );
    assert.ok(plan.pairCoverage.max <= 3 * plan.pairCoverage.mean, JSON.stringify(plan.pairCoverage));
  }
});

test("the default covers a pair several times on average", () => {
  for (const clients of [8, 24, 60]) {
    const plan = sampleSubsets(clients);
    assert.equal(plan.size, defaultSubsetSize(clients));
    assert.ok(plan.pairCoverage.mean >= 6, `${clients}: ${plan.pairCoverage.mean}`);
  }
});

test("the same seed gives the same subsets, another seed others", () => {
  const draw = (seed: number) =>
    sampleSubsets(30, { seed })
      .subsets.map((subset) => subset.join())
      .join(" ");
  assert.equal(draw(1), draw(1));
  assert.notEqual(draw(1), draw(2));
});

test("too few subsets are refused with the smallest number, and that number works", () => {
  let smallest = 0;
  assert.throws(
    () => sampleSubsets(20, { subsets: 12, size: 4, seed: 5 }),
    (error: unknown) => {
      assert.ok(error instanceof KindredError);
      assert.equal(error.code, "invalid_option");
      smallest = Number(error.facts.smallest);
      return error.message.includes(`${smallest} is the smallest`);
    },
  );
  check(sampleSubsets(20, { subsets: smallest, size: 4, seed: 5 }), 20);
});

test("a size out of range is refused with its name and value", () => {
  assert.throws(() => sampleSubsets(5, { size: 6 }), /subsetSize must be 1\.\.5 .*got 6/);
  assert.throws(() => sampleSubsets(5, { size: 1 }), /covers no pair/);
  assert.throws(() => sampleSubsets(5, { subsets: 0 }), /subsets must be 1\.\./);
});

test("where fewer distinct subsets exist than requested, each is drawn once", () => {
  const plan = sampleSubsets(5, { size: 3, subsets: 400 });
  assert.equal(plan.subsets.length, 10);
  assert.equal(new Set(plan.subsets.map((subset) => subset.join())).size, 10);
});

test("few additional subsets cover the pairs that uniform subsets of hundreds of clients miss", () => {
  // The uniform design draws clients unevenly: the additional subsets must also choose clients drawn often.
  const { subsets, pairCoverage } = sampleSubsets(300, { design: "uniform", size: 25, subsets: 1200, seed: 0 });
  assert.ok(pairCoverage.min >= 1);
  assert.ok(subsets.length < 1500, `${subsets.length}`);
});
