/** Distance of numbers from a reference. */
import assert from "node:assert/strict";

/** The largest difference, relative to the largest number expected. */
export function off(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  assert.equal(actual.length, expected.length);
  let [worst, largest] = [0, 1e-6];
  for (let i = 0; i < expected.length; i++) {
    worst = Math.max(worst, Math.abs(actual[i]! - expected[i]!));
    largest = Math.max(largest, Math.abs(expected[i]!));
  }
  return worst / largest;
}
