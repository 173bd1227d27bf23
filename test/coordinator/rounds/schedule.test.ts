import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { roundSchedule } from "../../../coordinator/rounds/schedule.js";

test("over all rounds every client makes the same number of passes, without a gap or a step taken twice", () => {
  const options = fc.record({
    rows: fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 1, maxLength: 20 }),
    epochs: fc.integer({ min: 1, max: 10 }),
    batch: fc.integer({ min: 1, max: 32 }),
    localSteps: fc.integer({ min: 1, max: 50 }),
  });
  fc.assert(
    fc.property(options, (given) => {
      const schedule = roundSchedule(given);
      given.rows.forEach((rows, client) => {
        const total = given.epochs * Math.ceil(rows / given.batch);
        assert.equal(schedule.totalSteps[client], total);
        let next = 0;
        for (let round = 0; round < schedule.rounds; round++) {
          const { firstStep, steps } = schedule.localSteps(client, round);
          assert.equal(firstStep, next);
          assert.ok(steps >= (round === 0 ? 1 : 0), `${steps} steps in round ${round}`);
          assert.ok(steps <= given.localSteps || given.rows.length === 1, `${steps} steps in round ${round}`);
          next += steps;
        }
        assert.equal(next, total);
      });
    }),
  );
});

test("there are as many averages as localSteps asks for, and not few, as far as there are steps", () => {
  assert.equal(roundSchedule({ rows: [3200, 400], epochs: 3, batch: 8, localSteps: 20 }).rounds, 60);
  assert.equal(roundSchedule({ rows: [400, 400], epochs: 3, batch: 8, localSteps: 20 }).rounds, 32);
  assert.equal(roundSchedule({ rows: [40, 24], epochs: 3, batch: 8, localSteps: 20 }).rounds, 15);
});

test("a client alone has one round; one with a single step has it in the first, and sits the others out", () => {
  assert.equal(roundSchedule({ rows: [1000], epochs: 3, batch: 8, localSteps: 20 }).rounds, 1);
  const { rounds, localSteps } = roundSchedule({ rows: [3, 1000], epochs: 1, batch: 8, localSteps: 20 });
  assert.equal(rounds, 32);
  assert.deepEqual(
    Array.from({ length: rounds }, (_, round) => localSteps(0, round).steps),
    Array.from({ length: rounds }, (_, round) => (round === 0 ? 1 : 0)),
  );
});

test("at most eight rounds after the first are validated, evenly, counted back from the end", () => {
  const validated = (rows: number): number[] => {
    const { rounds, validates } = roundSchedule({ rows: [rows, rows], epochs: 1, batch: 8, localSteps: 20 });
    return Array.from({ length: rounds }, (_, round) => round).filter(validates);
  };
  assert.deepEqual(validated(40), [0, 1, 2, 3, 4]);
  assert.deepEqual(validated(160), [0, 2, 5, 8, 11, 14, 17]);
  assert.deepEqual(validated(800), [0, 4, 8, 12, 16, 20, 24, 28]);
});
