/** Damaged models of every family and format either open or are refused by file: nothing crashes and memory stays bounded. */
import { basename } from "node:path";
import { test } from "node:test";
import { fuzzModel, MODELS } from "../../support/fuzz-models.js";

const CASES = 12;

for (const model of MODELS) {
  test(`${CASES} damaged copies of ${basename(model)} open or are refused by file`, async () => {
    await fuzzModel(model, CASES, 1);
  });
}
