import assert from "node:assert/strict";
import { test } from "node:test";
import { firstDifference } from "../../../shared/base/json.js";

const cases: readonly [there: unknown, here: unknown, difference: string | undefined][] = [
  [{ a: 1, b: [1, { c: null }] }, { b: [1, { c: null }], a: 1 }, undefined],
  [{ a: { b: 1 } }, { a: { b: 2 } }, "a.b is 1 there and 2 here"],
  [{ a: { b: 1 } }, { a: {} }, "a.b is 1 there and absent here"],
  [{}, { a: null }, "a is absent there and null here"],
  [{ a: [1, 2] }, { a: [1, 3] }, "a[1] is 2 there and 3 here"],
  [{ a: [1] }, { a: [1, 2] }, "a is [1] there and [1,2] here"],
  [{ a: "auto" }, { a: { b: 1 } }, 'a is "auto" there and {"b":1} here'],
  [{ a: "x".repeat(200) }, { a: 1 }, `a is "${"x".repeat(99)}... there and 1 here`],
];
for (const [there, here, difference] of cases) {
  test(`${JSON.stringify(there).slice(0, 40)} and ${JSON.stringify(here)}: ${difference?.slice(0, 40) ?? "the same"}`, () => {
    assert.equal(firstDifference(there, here), difference);
  });
}
