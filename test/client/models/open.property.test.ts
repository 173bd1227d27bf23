/** Damaged models of every family and form are refused in words that name the file, or open: nothing crashes or runs away. */
import { basename } from "node:path";
import { test } from "node:test";
import { fuzzModel, MODELS } from "../../support/fuzz-models.js";

const CASES = 12;

for (const model of MODELS) {
  test(`${CASES} damaged copies of ${basename(model)} open or are refused by file`, async () => {
    await fuzzModel(model, CASES, 1);
  });
}
