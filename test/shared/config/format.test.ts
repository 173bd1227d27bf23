/** Warnings about a format of rows. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { escapeWarnings } from "../../../shared/config/format.js";

test("a backslash and a letter where a line end or a tab was probably meant is told by field", () => {
  const { template, completion } = { template: String.raw`Text: {t}\nAnswer:`, completion: String.raw`\t{a}` };
  assert.deepEqual(escapeWarnings({ template, completion, choices: { 0: " no", 1: String.raw` yes\n` } }), [
    String.raw`template holds the characters \n, which are not a line end; in YAML, write \n within double quotes, and in a shell within $'...'`,
    String.raw`completion holds the characters \t, which are not a tab; in YAML, write \t within double quotes, and in a shell within $'...'`,
    String.raw`choices.1 holds the characters \n, which are not a line end; in YAML, write \n within double quotes, and in a shell within $'...'`,
  ]);
  assert.deepEqual(escapeWarnings({ template: "Text: {t}\nAnswer: C:\\dir", choices: { 0: "a", 1: "b" } }), []);
});
