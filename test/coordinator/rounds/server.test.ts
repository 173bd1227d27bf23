import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { aggregate, type Update } from "../../../coordinator/rounds/aggregate.js";
import {
  extrapolation,
  type Movement,
  meanSquare,
  type ServerState,
  serverStep,
} from "../../../coordinator/rounds/server.js";
import type { NamedTensors } from "../../../shared/base/tensors.js";

const named = (values: readonly number[]): NamedTensors =>
  new Map([["b", { shape: [values.length], data: Float32Array.from(values) }]]);
const valuesOf = (tensors: NamedTensors): number[] => Array.from(tensors.get("b")!.data);

/** Updates that start at `start` and end there plus `moves`. */
function movementOf(start: readonly number[], moves: readonly (readonly number[])[], examples?: number[]): Movement {
  const updates = moves.map(
    (move, client): Update => ({
      client: String(client),
      examples: examples?.[client] ?? 1,
      tensors: named(start.map((value, i) => value + (move[i] as number))),
    }),
  );
  const { mean, accepted } = aggregate(updates);
  return { start: named(start), mean, meanSquare: meanSquare(accepted, named(start)), clients: accepted.length };
}

const EIGHT_APART = Array.from({ length: 8 }, (_, i) => Array.from({ length: 8 }, (_, k) => (i === k ? 0.5 : 0)));
const zeros = new Array<number>(8).fill(0);

test("fedavg ends at the mean, to its last digit", () => {
  const movement = movementOf(
    [0.1, 0.7, -3],
    [
      [1e-3, 0.3, 1],
      [0.2, -0.1, 2],
    ],
  );
  const { values, state } = serverStep({ optimizer: "fedavg", learningRate: 1, momentum: 0 }, movement, undefined);
  assert.deepEqual(values, movement.mean);
  assert.equal(state, undefined);
});

test("fedexp's factor is half the clients' number where their updates are at right angles, and 1 where they agree", () => {
  assert.ok(Math.abs(extrapolation(movementOf(zeros, EIGHT_APART)) - 4) < 1e-6);
  assert.equal(
    extrapolation(
      movementOf(
        [1, 2],
        [
          [0.1, 0.2],
          [0.1, 0.2],
          [0.1, 0.2],
        ],
      ),
    ),
    1,
  );
  const { values } = serverStep(
    { optimizer: "fedexp", learningRate: 1, momentum: 0 },
    movementOf(zeros, EIGHT_APART),
    undefined,
  );
  for (const value of valuesOf(values)) assert.ok(Math.abs(value - 4 * (0.5 / 8)) < 1e-6);
});

test("where nobody moved, nothing moves: the first step of a warm-up has a learning rate of 0", () => {
  for (const optimizer of ["fedavg", "fedexp", "fedadam", "fedyogi"] as const) {
    const still = movementOf(
      [1, -2],
      [
        [0, 0],
        [0, 0],
      ],
    );
    assert.deepEqual(
      valuesOf(serverStep({ optimizer, learningRate: 1, momentum: 0 }, still, undefined).values),
      [1, -2],
    );
  }
});

test("fedexp's step is the paper's formula over the clients' shares, written out number by number", () => {
  const number = fc.float({ noNaN: true, min: -2, max: 2 });
  const client = fc.record({ move: fc.tuple(number, number, number), examples: fc.integer({ min: 1, max: 50 }) });
  fc.assert(
    fc.property(
      fc.array(client, { minLength: 1, maxLength: 6 }),
      fc.tuple(number, number, number),
      (clients, start) => {
        const movement = movementOf(
          start,
          clients.map(({ move }) => move),
          clients.map(({ examples }) => examples),
        );
        const total = clients.reduce((sum, { examples }) => sum + examples, 0);
        const mean = [0, 1, 2].map((k) => clients.reduce((sum, c) => sum + (c.examples / total) * c.move[k]!, 0));
        const squares = clients.reduce(
          (sum, c) => sum + (c.examples / total) * (c.move[0] ** 2 + c.move[1] ** 2 + c.move[2] ** 2),
          0,
        );
        const below = 2 * (mean[0]! ** 2 + mean[1]! ** 2 + mean[2]! ** 2);
        fc.pre(below > 1e-3);
        const factor = Math.min(clients.length, Math.max(1, squares / below));
        const { values } = serverStep({ optimizer: "fedexp", learningRate: 1, momentum: 0 }, movement, undefined);
        valuesOf(values).forEach((value, k) => {
          assert.ok(Math.abs(value - (start[k]! + factor * mean[k]!)) < 1e-4 * (1 + factor));
        });
      },
    ),
  );
});

test("with momentum a step is the mean of all movements, later ones weighing more, and the state is all that it needs", () => {
  const plan = { optimizer: "fedavg", learningRate: 2, momentum: 0.5 } as const;
  const moves = [
    [1, -1],
    [0, 3],
    [-2, 0.5],
  ];
  let [start, state]: [number[], ServerState | undefined] = [[10, 20], undefined];
  for (const [round, move] of moves.entries()) {
    const step = serverStep(plan, movementOf(start, [move]), state);
    const weights = moves.slice(0, round + 1).map((_, r) => 0.5 ** (round - r));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const expected = start.map(
      (value, k) =>
        value + weights.reduce((sum, weight, r) => sum + (weight / total) * 2 * (moves[r]![k] as number), 0),
    );
    valuesOf(step.values).forEach((value, k) => {
      assert.ok(Math.abs(value - expected[k]!) < 1e-5, `round ${round}: ${value}, should be ${expected[k]}`);
    });
    [start, state] = [valuesOf(step.values), step.state];
  }
});

test("a tensor that the start does not have is the mean, and leaves the others' step as it is", () => {
  const movement = movementOf(zeros, EIGHT_APART);
  const a = { shape: [2], data: Float32Array.of(3, 4) };
  const more = { ...movement, mean: new Map([...movement.mean, ["a", a]]) };
  for (const optimizer of ["fedexp", "fedadam"] as const) {
    const plan = { optimizer, learningRate: 0.1, momentum: 0 };
    const { values } = serverStep(plan, more, undefined);
    assert.deepEqual(values.get("a"), a);
    assert.deepEqual(valuesOf(values), valuesOf(serverStep(plan, movement, undefined).values));
  }
});
