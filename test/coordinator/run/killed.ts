/** A small run, killed with one of its writes. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { calm, eachOf, endsAsTheCalmRun } from "./calm.js";

/** Kills the run with each `step`th of its writes in turn, and holds it against the calm run. */
export async function endsWhicheverWriteKills(t: TestContext, step: number): Promise<void> {
  const { writes } = await calm("tiny");
  t.diagnostic(`${writes} writes`);
  assert.ok(writes > 100, `${writes} writes`);
  await eachOf(Math.ceil(writes / step), 8, async (at) => {
    const write = writes - at * step;
    const what = `killed with write ${write} of ${writes}`;
    const run = await endsAsTheCalmRun("tiny", { deaths: [{ write, moment: "unheard", powerCut: false }] }, what);
    assert.equal(run.deaths, 1, what);
  });
}
