/** A small run, killed after each of its writes in turn. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { calm, eachOf, endsAsTheCalmRun } from "./calm.js";

it("a run ends as the calm one whichever of its writes the coordinator dies with", async (t) => {
  const { writes } = await calm("tiny");
  t.diagnostic(`${writes} writes`);
  assert.ok(writes > 100, `${writes} writes`);
  await eachOf(writes, 8, async (at) => {
    const what = `killed with write ${at + 1} of ${writes}`;
    const run = await endsAsTheCalmRun(
      "tiny",
      { deaths: [{ write: at + 1, moment: "unheard", powerCut: false }] },
      what,
    );
    assert.equal(run.deaths, 1, what);
  });
});
