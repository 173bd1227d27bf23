import assert from "node:assert/strict";
import { test } from "node:test";
import { answerSets } from "../../../shared/sketch/answer-prefixes.js";

test("prefixes of the same clients are one set, and sets of most clients come first", () => {
  const clients = [[[2], [2, 5], [3]], [[9], [3], [2]], [], [[7], [2, 4], [9]], [[2], [3], [2, 5]]];
  assert.deepEqual(answerSets(clients), [[[2], [3]], [[2, 5]], [[9]], [[2, 4], [7]]]);
  assert.deepEqual(answerSets([[], []]), []);
});

test("sets of the fewest clients are dropped where all sets would not fit a message", () => {
  const own = (client: number) => Array.from({ length: 700 }, (_, k) => [client, k]);
  const clients = Array.from({ length: 200 }, (_, client) => [[1_000_000], ...own(client)]);
  const sets = answerSets(clients);
  assert.deepEqual(sets[0], [[1_000_000]]);
  assert.equal(sets.length, 1 + Math.floor((262_144 - 1) / 1400));
});
