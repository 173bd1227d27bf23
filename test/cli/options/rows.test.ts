import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { formatGiven, type Output } from "../../../cli/options/rows.js";

/** What is written to stderr for a template with an escape that a shell does not read. */
function warningOf(t: TestContext, output: Output): string {
  const written: string[] = [];
  const mock = t.mock.method(process.stderr, "write", (text: string) => written.push(text) > 0);
  formatGiven({ template: "{text}\\nAnswer:", choices: { 0: " no", 1: " yes" }, ...output });
  mock.mock.restore();
  return written.join("");
}

test("the warning of an escape in a template has the form of the log", (t) => {
  assert.match(warningOf(t, {}), /^kindred: warning: template holds the characters \\n, [^\n]*\n$/);
  const { level, message } = JSON.parse(warningOf(t, { logFormat: "json" }));
  assert.equal(level, "warn");
  assert.match(message, /^template holds the characters \\n, /);
  assert.equal(warningOf(t, { quiet: true }), "");
});
