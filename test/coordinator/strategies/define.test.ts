/** What `defineStrategy` refuses, before a run is lost to it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type CoordinateRule, defineStrategy } from "../../../coordinator/strategies/define.js";

const combine = (): number => 0;
const REFUSED: readonly (readonly [string, object, RegExp])[] = [
  ["a name of other characters", { name: "My Rule", combine }, /^strategy\.name: must be a letter/],
  [
    "neither a rule nor an aggregator",
    { name: "empty" },
    /^strategy empty: has neither combine nor begin; give combine/,
  ],
  ["a rule that is no function", { name: "text", combine: "mean" }, /^strategy text: has neither combine nor begin/],
  [
    "a learning rate of 0",
    { name: "still", combine, learningRate: 0 },
    /^strategy still: learningRate must be above 0/,
  ],
  ["a momentum of 1", { name: "runaway", combine, momentum: 1 }, /^strategy runaway: momentum must be/],
];
for (const [what, definition, message] of REFUSED)
  test(`${what} is refused`, () => {
    assert.throws(() => defineStrategy(definition as CoordinateRule), { code: "invalid_option", message });
  });
