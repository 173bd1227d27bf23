import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { type ServerState, serverStep } from "../../../coordinator/rounds/server.js";
import { asset } from "../../../shared/base/assets.js";
import type { NamedTensors } from "../../../shared/base/tensors.js";

interface Steps {
  readonly rate: number;
  readonly start: readonly number[];
  readonly movements: readonly (readonly number[])[];
  readonly fedadam: readonly (readonly number[])[];
  readonly fedyogi: readonly (readonly number[])[];
}

const steps = JSON.parse(readFileSync(asset("test", "fixtures", "server", "steps.json"), "utf8")) as Steps;
const named = (values: readonly number[]): NamedTensors =>
  new Map([["b", { shape: [values.length], data: Float32Array.from(values) }]]);

for (const optimizer of ["fedadam", "fedyogi"] as const) {
  test(`${optimizer} takes the steps of the reference`, () => {
    let start = named(steps.start);
    let state: ServerState | undefined;
    steps.movements.forEach((movement, round) => {
      const mean = named(Array.from(start.get("b")!.data, (value, i) => value + (movement[i] as number)));
      const plan = { optimizer, learningRate: steps.rate, momentum: 0.9 };
      ({ values: start, state } = serverStep(plan, { start, mean, meanSquare: 0, clients: 1 }, state));
      start.get("b")!.data.forEach((value, i) => {
        const expected = steps[optimizer][round]![i] as number;
        assert.ok(
          Math.abs(value - expected) < 2e-5,
          `round ${round}, coordinate ${i}: ${value}, should be ${expected}`,
        );
      });
    });
  });
}
