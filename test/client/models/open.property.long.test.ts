/** open.property.test.ts with many more cases: every kind of damage to every file. */
import assert from "node:assert/strict";
import { basename } from "node:path";
import { test } from "node:test";
import { fuzzModel, MODELS } from "../../support/fuzz-models.js";

const CASES = 200;

for (const model of MODELS) {
  test(`${CASES} damaged copies of ${basename(model)} open or are refused by file`, async () => {
    const { opened, refused } = await fuzzModel(model, CASES, 2);
    // Both outcomes must occur: copies that are never read, or always refused, would test nothing.
    assert.ok(opened > CASES / 20 && refused > CASES / 4, `${opened} opened, ${refused} refused`);
  });
}
