/** Every strategy that can be configured, and strategies of a user's own, keep the contract. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { collecting } from "../../../coordinator/strategies/aggregation.js";
import { defineStrategy } from "../../../coordinator/strategies/define.js";
import { strategyOf } from "../../../coordinator/strategies/registry.js";
import type { Strategy } from "../../../coordinator/strategies/strategy.js";
import { chunksOf } from "../../../coordinator/strategies/tensors.js";
import { strategy as settingsSchema } from "../../../shared/config/strategies.js";
import { aggregatorContract, buffersOf, WIDE } from "./aggregator.contract.js";
import { foldRound, named, valuesOf } from "./rounds.js";

const CONFIGURED: readonly Record<string, unknown>[] = [
  { kind: "fedavg" },
  { kind: "fedavg", momentum: 0 },
  { kind: "fedprox" },
  { kind: "fedexp" },
  { kind: "fedadam" },
  { kind: "fedyogi" },
  { kind: "median" },
  { kind: "trimmed-mean", trim: 0.2 },
  { kind: "krum" },
  { kind: "krum", keep: 3, byzantine: 1 },
  { kind: "norm-bounded" },
  { kind: "norm-bounded", clipNorm: 0.5 },
];
for (const settings of CONFIGURED) {
  aggregatorContract(JSON.stringify(settings), () => strategyOf(settingsSchema.parse(settings)));
}

test("every kind that can be configured is held to the contract", () => {
  const { anyOf, oneOf } = z.toJSONSchema(settingsSchema, { io: "input" });
  const kinds = (anyOf ?? oneOf ?? []).map(({ properties = {} }) => (properties.kind as { const: string }).const);
  assert.deepEqual(new Set(kinds), new Set([...CONFIGURED.map(({ kind }) => kind), "custom"]));
});

const midrange = (): Strategy =>
  defineStrategy({
    name: "midrange",
    combine: (values) => (Math.min(...values) + Math.max(...values)) / 2,
    momentum: 0.3,
  });
aggregatorContract("a user's rule for each coordinate", midrange);

/** Half of all examples lie with clients at or below it. */
const weightedMedian = (): Strategy =>
  defineStrategy({
    name: "weighted-median",
    combine: (values, weights) => {
      const order = [...values.keys()].sort((a, b) => values[a]! - values[b]!);
      let below = 0;
      // Rounding may leave one half a little below 0.5.
      const middle = order.find((at) => {
        below += weights[at]!;
        return below > 0.5 - 1e-9;
      });
      return values[middle!]!;
    },
  });
aggregatorContract("a user's rule that weighs clients", weightedMedian);

/** The whole interface: the update that moved least, with a state of its own. */
const shyest = (): Strategy =>
  defineStrategy({
    name: "shyest",
    begin: (round, { shapes, state, create, chunkValues }) =>
      collecting(round, async (updates) => {
        const least = updates.reduce((a, b) => (b.squaredDistance < a.squaredDistance ? b : a));
        const sink = await create(shapes);
        const buffer = new Float32Array(chunkValues);
        for (const { name, from, count } of chunksOf(shapes, chunkValues)) {
          await least.values.read(name, from, buffer.subarray(0, count));
          await sink.append(buffer.subarray(0, count));
        }
        const moved = (state?.numbers.moved ?? 0) + least.squaredDistance;
        return { next: await sink.finish(), state: { tensors: {}, numbers: { moved } } };
      }),
  });
aggregatorContract("a user's whole strategy", shyest);

test("control: a strategy that reads whole updates is seen in memory", async () => {
  const greedy = defineStrategy({
    name: "greedy",
    begin: (round, { shapes, create }) =>
      collecting(round, async (updates) => {
        const sink = await create(shapes);
        for (const { values } of updates) {
          for (const { name, count } of chunksOf(shapes, 1e9)) await values.read(name, 0, new Float32Array(count));
        }
        return { next: await sink.finish() };
      }),
  });
  assert.ok((await buffersOf(greedy)).read >= 40 * 4 * WIDE);
});

test("a rule of a user's own gets the values in the clients' order, and shares that sum to 1", async () => {
  const seen: number[][] = [];
  const strategy = defineStrategy({
    name: "watching",
    combine: (values, weights) => {
      seen.push([...values, ...weights]);
      return values.fill(0)[0]!;
    },
  });
  const updates = [
    { client: "b", examples: 30, sent: named([1, 2]) },
    { client: "a", examples: 10, sent: named([5, -2]) },
  ];
  const { next } = await foldRound({ strategy, updates, clients: ["a", "b"], start: named([0, 0]) });
  assert.deepEqual(seen, [
    [5, 1, 0.25, 0.75],
    [-2, 2, 0.25, 0.75],
  ]);
  assert.deepEqual(valuesOf(next!), [0, 0]);
});

test("mistakes in a definition are refused by field and value", async () => {
  const combine = (): number => 0;
  assert.throws(() => defineStrategy({ name: "My rule", combine }), /strategy\.name: .*got "My rule"/);
  assert.throws(() => defineStrategy({ name: "x", combine, learningRate: 0 }), /strategy x: learningRate .*got 0/);
  assert.throws(() => defineStrategy({ name: "x", combine, momentum: 1 }), /strategy x: momentum .*got 1/);
  const broken = defineStrategy({ name: "broken", combine: () => Number.NaN });
  const updates = [{ client: "a", sent: named([1]) }];
  await assert.rejects(
    foldRound({ strategy: broken, updates, start: named([0]) }),
    /strategy broken: combine must give a finite number, got NaN/,
  );
});

test("a custom kind is found by its name, and a name that no strategy has is refused with those that there are", () => {
  const own = [midrange()];
  assert.equal(strategyOf({ kind: "custom", name: "midrange" }, own), own[0]);
  assert.throws(
    () => strategyOf({ kind: "custom", name: "midrnage" }, own),
    /training\.strategy\.name: .*openRun \(midrange\), got "midrnage"/,
  );
  assert.throws(() => strategyOf({ kind: "custom", name: "x" }), /this program brings none/);
});
