import assert from "node:assert/strict";
import { test } from "node:test";
import { answerSets } from "../../../shared/sketch/answers.js";

test("tokens that the same clients answer with are one set, those of most clients first", () => {
  const sets = answerSets([[2, 3], [9, 3, 2], [], [7, 5, 9], [2, 3]]);
  assert.deepEqual(sets, [[2, 3], [9], [5, 7]]);
});

test("sets beyond the most that are told apart join the others, and no token is lost or doubled", () => {
  const choices = Array.from({ length: 30 }, (_, client) => [1000 - client, client]);
  const sets = answerSets(choices, 4);
  assert.equal(sets.length, 4);
  assert.deepEqual(
    sets.flat().sort((a, b) => a - b),
    choices.flat().sort((a, b) => a - b),
  );
  for (const set of sets)
    assert.deepEqual(
      set,
      [...set].sort((a, b) => a - b),
    );
  assert.deepEqual(answerSets([[], []]), []);
  const many = Array.from({ length: 4 }, (_, client) => Array.from({ length: 800 }, (__, t) => 800 * client + t));
  assert.deepEqual(
    answerSets(many, 2).map(({ length }) => length),
    [1024, 1024],
  );
});
