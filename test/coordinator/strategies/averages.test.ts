/** FedAvg, FedProx, FedExP, FedAdam and FedYogi over several rounds, to the last bit of the same written in memory; and their facts. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import type { StoredState } from "../../../coordinator/rounds/fold.js";
import { strategyOf } from "../../../coordinator/strategies/registry.js";
import type { Round, Strategy } from "../../../coordinator/strategies/strategy.js";
import { asset } from "../../../shared/base/assets.js";
import type { NamedTensors } from "../../../shared/base/tensors.js";
import { type StrategySettings, strategy as strategySchema } from "../../../shared/config/strategies.js";
import { MemoryBlobs } from "../../support/memory-blobs.js";
import { adaptive, alongCentre, extrapolation, type Memory, meanOf, type Stepped } from "./in-memory.js";
import { B, foldRound, named, tensor, valuesOf } from "./rounds.js";

const made = (settings: Record<string, unknown>): Strategy => strategyOf(strategySchema.parse(settings));
const zeros = (count: number): number[] => new Array<number>(count).fill(0);

/** Updates that start at `start` and end there plus `moves`. */
const moved = (start: readonly number[], moves: readonly (readonly number[])[], examples?: readonly number[]) =>
  moves.map((move, client) => ({
    client: String(client),
    examples: examples?.[client] ?? 1,
    sent: named(start.map((value, i) => value + move[i]!)),
  }));

const EIGHT_APART = Array.from({ length: 8 }, (_, i) => Array.from({ length: 8 }, (_, k) => (i === k ? 0.5 : 0)));

type Reference = (updates: Parameters<typeof meanOf>[0], start: NamedTensors, before: Memory | undefined) => Stepped;

const CASES: readonly { settings: StrategySettings; reference: Reference }[] = [
  ...[
    { momentum: 0, learningRate: 1 },
    { momentum: 0.5, learningRate: 1 },
    { momentum: 0.7, learningRate: 1.3 },
    { momentum: 0, learningRate: 0.4 },
  ].flatMap(({ momentum, learningRate }) => [
    {
      settings: { kind: "fedavg", momentum, learningRate } as const,
      reference: ((updates, start, before) =>
        alongCentre(meanOf(updates), start, { factor: learningRate, momentum }, before)) as Reference,
    },
    {
      settings: { kind: "fedexp", momentum, learningRate } as const,
      reference: ((updates, start, before) => {
        const factor = learningRate * extrapolation(updates, start);
        return alongCentre(meanOf(updates), start, { factor, momentum }, before);
      }) as Reference,
    },
  ]),
  ...(["fedadam", "fedyogi"] as const).map((kind) => ({
    settings: { kind, momentum: 0.9, learningRate: 0.05 } as const,
    reference: ((updates, start, before) =>
      adaptive(kind, meanOf(updates), start, { rate: 0.05, momentum: 0.9 }, before)) as Reference,
  })),
];

for (const { settings, reference } of CASES) {
  test(`${JSON.stringify(settings)}: three rounds are those of the same rule over whole adapters, to the last bit`, async () => {
    const number = fc.float({ noNaN: true, min: -2, max: 2 });
    const client = fc.record({
      examples: fc.integer({ min: 1, max: 900 }),
      values: fc.array(number, { minLength: 21, maxLength: 21 }),
    });
    const rounds = fc.array(fc.array(client, { minLength: 1, maxLength: 5 }), { minLength: 3, maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(rounds, fc.integer({ min: 1, max: 12 }), async (given, chunkValues) => {
        const blobs = new MemoryBlobs();
        const strategy = strategyOf(settings);
        let start: NamedTensors | undefined;
        let state: StoredState | undefined;
        let memory: Memory | undefined;
        for (const [index, clients] of given.entries()) {
          const updates = clients.map(({ examples, values }, at) => ({
            client: String(at),
            examples,
            sent: new Map([
              // What is drawn is the same for all in a first round, and frozen later.
              ...(index === 0
                ? [["h.lora_A.weight", { shape: [1, 2], data: Float32Array.of(0.25, -0.5) }] as const]
                : []),
              [B, tensor(...values.slice(0, 13))] as const,
              ...(index === 0 ? [["i.lora_A.weight", { shape: [1, 2], data: Float32Array.of(0.1, 1) }] as const] : []),
              ["i.lora_B.weight", tensor(...values.slice(13))] as const,
            ]),
          }));
          const folded = await foldRound({ strategy, updates, start, state, index, chunkValues }, blobs);
          const from =
            start ??
            new Map([
              [B, tensor(...zeros(13))],
              ["i.lora_B.weight", tensor(...zeros(8))],
            ]);
          const expected = reference(
            updates.map(({ examples, sent }) => ({ examples, tensors: sent })),
            from,
            memory,
          );
          assert.deepEqual(
            new Map(Array.from(folded.next!, ([name, { data }]) => [name, data])),
            expected.values,
            `round ${index}`,
          );
          start = new Map([...folded.next!].filter(([name]) => !name.includes("lora_A")));
          state = folded.state;
          memory = expected.memory;
        }
        assert.equal(blobs.unfinished, 0);
      }),
      { numRuns: 25 },
    );
  });
}

interface Steps {
  readonly rate: number;
  readonly start: readonly number[];
  readonly movements: readonly (readonly number[])[];
  readonly fedadam: readonly (readonly number[])[];
  readonly fedyogi: readonly (readonly number[])[];
}

const steps = JSON.parse(readFileSync(asset("test", "fixtures", "server", "steps.json"), "utf8")) as Steps;
for (const kind of ["fedadam", "fedyogi"] as const) {
  test(`${kind} takes the steps of the reference`, async () => {
    const blobs = new MemoryBlobs();
    const strategy = made({ kind, learningRate: steps.rate, momentum: 0.9 });
    let start = named(steps.start);
    let state: StoredState | undefined;
    for (const [index, movement] of steps.movements.entries()) {
      const updates = moved(valuesOf(start), [movement]);
      const folded = await foldRound({ strategy, updates, start, state, index }, blobs);
      start = folded.next!;
      state = folded.state;
      valuesOf(start).forEach((value, i) => {
        const expected = steps[kind][index]![i]!;
        assert.ok(
          Math.abs(value - expected) < 2e-5,
          `round ${index}, coordinate ${i}: ${value}, should be ${expected}`,
        );
      });
    }
  });
}

test("updates are averaged with the weight of their examples", async () => {
  const strategy = made({ momentum: 0 });
  const { next, accepted, state } = await foldRound({
    strategy,
    start: named([0, 0]),
    updates: [
      { client: "a", examples: 30, sent: named([1, 2]) },
      { client: "b", examples: 10, sent: named([5, -2]) },
    ],
  });
  assert.deepEqual(valuesOf(next!), [2, 1]);
  assert.equal(accepted, 2);
  assert.equal(state, undefined, "without momentum nothing is remembered");
});

test("fedexp goes half the clients' number times the mean where updates are at right angles, and to the mean where they agree", async () => {
  const strategy = made({ kind: "fedexp", momentum: 0 });
  const apart = await foldRound({ strategy, start: named(zeros(8)), updates: moved(zeros(8), EIGHT_APART) });
  for (const value of valuesOf(apart.next!)) assert.ok(Math.abs(value - 4 * (0.5 / 8)) < 1e-6);
  const agreed = [0.25, 0.5];
  const { next } = await foldRound({
    strategy,
    start: named([1, 2]),
    updates: moved([1, 2], [agreed, agreed, agreed]),
  });
  assert.deepEqual(valuesOf(next!), [1.25, 2.5]);
});

test("fedexp's step is the paper's formula over the clients' shares, written out number by number", async () => {
  const number = fc.float({ noNaN: true, min: -2, max: 2 });
  const client = fc.record({ move: fc.tuple(number, number, number), examples: fc.integer({ min: 1, max: 50 }) });
  const strategy = made({ kind: "fedexp", momentum: 0 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(client, { minLength: 1, maxLength: 6 }),
      fc.tuple(number, number, number),
      async (clients, start) => {
        const total = clients.reduce((sum, { examples }) => sum + examples, 0);
        const mean = [0, 1, 2].map((k) => clients.reduce((sum, c) => sum + (c.examples / total) * c.move[k]!, 0));
        const squares = clients.reduce(
          (sum, c) => sum + (c.examples / total) * (c.move[0] ** 2 + c.move[1] ** 2 + c.move[2] ** 2),
          0,
        );
        const below = 2 * (mean[0]! ** 2 + mean[1]! ** 2 + mean[2]! ** 2);
        fc.pre(below > 1e-3);
        const factor = Math.min(clients.length, Math.max(1, squares / below));
        const updates = moved(
          start,
          clients.map(({ move }) => move),
          clients.map(({ examples }) => examples),
        );
        const { next } = await foldRound({ strategy, start: named(start), updates });
        valuesOf(next!).forEach((value, k) => {
          assert.ok(Math.abs(value - (start[k]! + factor * mean[k]!)) < 1e-4 * (1 + factor));
        });
      },
    ),
  );
});

test("where nobody moved, nothing moves: the first step of a warm-up has a learning rate of 0", async () => {
  for (const kind of ["fedavg", "fedexp", "fedadam", "fedyogi", "median", "krum", "trimmed-mean", "norm-bounded"]) {
    const updates = moved([1, -2], [zeros(2), zeros(2), zeros(2)]);
    const { next } = await foldRound({ strategy: made({ kind }), start: named([1, -2]), updates });
    assert.deepEqual(valuesOf(next!), [1, -2], kind);
  }
});

test("with momentum a step is the mean of all movements, later ones weighing more, and the state is all that it needs", async () => {
  const blobs = new MemoryBlobs();
  const moves = [
    [1, -1],
    [0, 3],
    [-2, 0.5],
  ];
  let start = [10, 20];
  let state: StoredState | undefined;
  for (const [index, move] of moves.entries()) {
    // Another object each round: what it needs comes with the state.
    const strategy = made({ kind: "fedavg", learningRate: 2, momentum: 0.5 });
    const folded = await foldRound(
      { strategy, start: named(start), updates: moved(start, [move]), state, index },
      blobs,
    );
    const weights = moves.slice(0, index + 1).map((_, r) => 0.5 ** (index - r));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const expected = start.map(
      (value, k) => value + weights.reduce((sum, weight, r) => sum + (weight / total) * 2 * moves[r]![k]!, 0),
    );
    valuesOf(folded.next!).forEach((value, k) => {
      assert.ok(Math.abs(value - expected[k]!) < 1e-5, `round ${index}: ${value}, should be ${expected[k]}`);
    });
    start = valuesOf(folded.next!);
    state = JSON.parse(JSON.stringify(folded.state)) as StoredState;
  }
});

test("a tensor that the start does not have is the mean, and leaves the others' step as it is", async () => {
  const updates = moved(zeros(8), EIGHT_APART).map(({ client, sent }) => ({
    client,
    sent: new Map([["h.lora_A.weight", { shape: [1, 2], data: Float32Array.of(3, 4) }], ...sent]) as NamedTensors,
  }));
  for (const kind of ["fedexp", "fedadam"]) {
    const strategy = made({ kind, learningRate: 0.1, momentum: 0 });
    const { next } = await foldRound({ strategy, updates });
    assert.deepEqual(valuesOf(next!, "h.lora_A.weight"), [3, 4]);
    const alone = await foldRound({ strategy, start: named(zeros(8)), updates: moved(zeros(8), EIGHT_APART) });
    assert.deepEqual(valuesOf(next!), valuesOf(alone.next!));
  }
});

test("an adaptive server takes the clients' learning rate where none is given", async () => {
  const updates = moved([1, -2], [[0.5, -0.25]]);
  for (const kind of ["fedadam", "fedyogi"]) {
    const auto = await foldRound({ strategy: made({ kind }), start: named([1, -2]), updates, learningRate: 0.003 });
    const given = await foldRound({ strategy: made({ kind, learningRate: 0.003 }), start: named([1, -2]), updates });
    assert.deepEqual(auto.next, given.next);
  }
});

test("fedprox is fedavg at the server, and has a proximal term for the clients", async () => {
  const updates = moved(zeros(8), EIGHT_APART);
  const prox = made({ kind: "fedprox", mu: 0.3 });
  const one = await foldRound({ strategy: prox, start: named(zeros(8)), updates });
  const other = await foldRound({ strategy: made({ kind: "fedavg" }), start: named(zeros(8)), updates });
  assert.deepEqual(one.next, other.next);
  assert.deepEqual(prox.client?.({} as Round), { proximal: 0.3 });
});
