/** Median, trimmed mean, Krum and norm bounding: against numpy's and scipy's numbers, the definitions in memory, and hostile clients. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { strategyOf } from "../../../coordinator/strategies/registry.js";
import type { Strategy } from "../../../coordinator/strategies/strategy.js";
import { asset } from "../../../shared/base/assets.js";
import { strategy as settingsSchema } from "../../../shared/config/strategies.js";
import { ascending, byCoordinate, type Given, krumChoice, meanOf } from "./in-memory.js";
import { B, foldRound, named, valuesOf } from "./rounds.js";

/** Without momentum: the round ends at what the rule finds. */
const made = (settings: Record<string, unknown>): Strategy =>
  strategyOf(settingsSchema.parse({ momentum: 0, ...settings }));

interface Case {
  readonly start: readonly number[];
  readonly updates: readonly (readonly number[])[];
  readonly examples: readonly number[];
  readonly median: readonly number[];
  readonly trimmed: Readonly<Record<string, readonly number[]>>;
  readonly byzantine: number;
  readonly krum: Readonly<Record<string, readonly number[]>>;
  readonly bounded: Readonly<Record<string, readonly number[]>>;
}

const { cases } = JSON.parse(readFileSync(asset("test", "fixtures", "strategies", "robust.json"), "utf8")) as {
  readonly cases: readonly Case[];
};

/** What a strategy makes of the updates of a case. */
async function ended({ start, updates, examples }: Pick<Case, "start" | "updates" | "examples">, strategy: Strategy) {
  const sent = updates.map((values, i) => ({ client: String(i), examples: examples[i]!, sent: named(values) }));
  const { next, rejected } = await foldRound({ strategy, start: named(start), updates: sent, chunkValues: 5 });
  assert.deepEqual(rejected, []);
  return valuesOf(next!);
}

function near(actual: readonly number[], expected: readonly number[], what: string): void {
  assert.equal(actual.length, expected.length);
  actual.forEach((value, i) => {
    assert.ok(
      Math.abs(value - expected[i]!) <= 1e-6 * (1 + Math.abs(expected[i]!)),
      `${what}, ${i}: ${value}, ${expected[i]}`,
    );
  });
}

for (const [at, given] of cases.entries()) {
  test(`case ${at} of numpy and scipy: ${given.updates.length} clients`, async () => {
    near(await ended(given, made({ kind: "median" })), given.median, "median");
    for (const [trim, expected] of Object.entries(given.trimmed)) {
      near(await ended(given, made({ kind: "trimmed-mean", trim: Number(trim) })), expected, `trim ${trim}`);
    }
    for (const [keep, expected] of Object.entries(given.krum)) {
      for (const byzantine of ["auto", given.byzantine, given.byzantine + 10]) {
        near(await ended(given, made({ kind: "krum", keep: Number(keep), byzantine })), expected, `keep ${keep}`);
      }
    }
    for (const [norm, expected] of Object.entries(given.bounded)) {
      const clipNorm = norm === "auto" ? norm : Number(norm);
      near(await ended(given, made({ kind: "norm-bounded", clipNorm })), expected, `norm ${norm}`);
    }
  });
}

const number = fc.float({ noNaN: true, min: -3, max: 3 });
const round = fc.integer({ min: 1, max: 9 }).chain((size) =>
  fc.record({
    start: fc.array(number, { minLength: size, maxLength: size }),
    clients: fc.array(
      fc.record({
        examples: fc.integer({ min: 1, max: 50 }),
        values: fc.array(number, { minLength: size, maxLength: size }),
      }),
      { minLength: 1, maxLength: 9 },
    ),
  }),
);

test("any round ends as the rules' definitions over whole adapters say", async () => {
  await fc.assert(
    fc.asyncProperty(
      round,
      fc.double({ noNaN: true, min: 0, max: 0.49 }),
      fc.integer({ min: 0, max: 4 }),
      async (given, trim, f) => {
        const { start, clients } = given;
        const examples = clients.map((client) => client.examples);
        const all = { start, updates: clients.map(({ values }) => values), examples };
        const updates: Given[] = clients.map(({ examples, values }) => ({ examples, tensors: named(values) }));
        const n = updates.length;
        const middle = byCoordinate(updates, (values) => {
          const sorted = ascending(values);
          return (sorted[Math.floor((n - 1) / 2)]! + sorted[Math.ceil((n - 1) / 2)]!) / 2;
        });
        near(await ended(all, made({ kind: "median" })), Array.from(middle.get(B)!), "median");

        const dropped = Math.floor(trim * n);
        const trimmed = byCoordinate(updates, (values) => {
          const kept = ascending(values).slice(dropped, n - dropped);
          return kept.reduce((sum, value) => sum + value / kept.length, 0);
        });
        near(await ended(all, made({ kind: "trimmed-mean", trim })), Array.from(trimmed.get(B)!), "trimmed mean");

        if (n >= 3) {
          const chosen = krumChoice(updates, Math.min(f, Math.floor((n - 3) / 2)), 2);
          const mean = byCoordinate(
            chosen.map((i) => updates[i]!),
            (values) => values.reduce((sum, value) => sum + value / values.length, 0),
          );
          near(await ended(all, made({ kind: "krum", keep: 2, byzantine: f })), Array.from(mean.get(B)!), "krum");
        }
      },
    ),
    { numRuns: 60 },
  );
});

test("rules without anything to drop or to shorten are the mean", async () => {
  await fc.assert(
    fc.asyncProperty(round, async ({ start, clients }) => {
      const all = { start, updates: clients.map(({ values }) => values), examples: clients.map(() => 1) };
      const mean = Array.from(meanOf(clients.map(({ values }) => ({ examples: 1, tensors: named(values) }))).get(B)!);
      near(await ended(all, made({ kind: "trimmed-mean", trim: 0 })), mean, "trimmed mean");
      near(await ended(all, made({ kind: "norm-bounded", clipNorm: 1000 })), mean, "norm-bounded");
      near(await ended(all, made({ kind: "krum", keep: 9 })), mean, "multi-krum");
    }),
    { numRuns: 40 },
  );
});

test("two hostile clients of seven carry off the mean, and none of the robust rules", async () => {
  const start = [0, 0, 0];
  const honest = [0.9, 1, 1.1, 1, 0.95].map((step) => start.map((value) => value + step));
  const all = { start, updates: [...honest, [-50, -50, -50], [-50, 40, -50]], examples: [1, 1, 1, 1, 1, 1, 1] };
  const distance = (values: readonly number[]): number => Math.max(...values.map((value) => Math.abs(value - 1)));
  assert.ok(distance(await ended(all, made({ kind: "fedavg" }))) > 5, "control: the mean");
  for (const settings of [
    { kind: "median" },
    { kind: "trimmed-mean", trim: 0.3 },
    { kind: "krum" },
    { kind: "krum", keep: 3 },
  ]) {
    assert.ok(distance(await ended(all, made(settings))) <= 0.11, JSON.stringify(settings));
  }
  // Two shares of seven, each as long as an honest update, turn it back by less than it goes.
  assert.ok(distance(await ended(all, made({ kind: "norm-bounded" }))) < 1);
});
