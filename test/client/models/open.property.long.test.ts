/** The same as open.property.test.ts at length: every kind of damage to every file many times. */
import assert from "node:assert/strict";
import { basename } from "node:path";
import { test } from "node:test";
import { fuzzModel, MODELS } from "../../support/fuzz-models.js";

const CASES = 200;

for (const model of MODELS) {
  test(`${CASES} damaged copies of ${basename(model)} open or are refused by file`, async () => {
    const { opened, refused } = await fuzzModel(model, CASES, 2);
    // Not every damage matters; a copy that is never read, or always refused, would test nothing.
    assert.ok(opened > CASES / 20 && refused > CASES / 4, `${opened} opened, ${refused} refused`);
  });
}
