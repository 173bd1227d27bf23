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
          const { firstStep, steps } = schedule.stretch(client, round);
          assert.equal(firstStep, next);
          assert.ok(steps >= 1, "a client sits a round out");
          next += steps;
        }
        assert.equal(next, total);
      });
    }),
  );
});

test("the clients with most rows take at most localSteps between two averages, where the smallest allow as many rounds", () => {
  const { rounds, stretch } = roundSchedule({ rows: [800, 400], epochs: 3, batch: 8, localSteps: 20 });
  assert.equal(rounds, 15);
  assert.ok(stretch(0, 3).steps <= 20);
});

test("a client alone has one round, a client with a single step takes part in it", () => {
  assert.equal(roundSchedule({ rows: [1000], epochs: 3, batch: 8, localSteps: 20 }).rounds, 1);
  assert.equal(roundSchedule({ rows: [3, 1000], epochs: 1, batch: 8, localSteps: 20 }).rounds, 1);
});
