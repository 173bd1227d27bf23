/**
 * A run whose coordinator is killed, and whose results are delayed, doubled, dropped and reordered, ends as a calm one: byte for byte in
 * all but the time that it took. The long test has more cases.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { temporaryFolder } from "../../support/federation.js";
import { canonical } from "../../support/pinned-run.js";
import {
  ALL_AT_ONCE,
  DELAYED,
  DOUBLED,
  DROPPED,
  endsKilledAgainAndAgain,
  endsWithoutPower,
  every,
  list,
  REORDERED,
} from "./adversity.js";
import { endsAsTheCalmRun, troubled } from "./calm.js";
import type { Adversity } from "./lives-worker.js";

describe("a run ends as the calm one", () => {
  for (const [what, troubleOf, names] of [
    ["where clients answer in any order", REORDERED, ["small", "fedexp"]],
    ["where reports arrive twice", DOUBLED, ["small"]],
    ["where tasks and reports are lost", DROPPED, ["small"]],
    ["where clients take long", DELAYED, ["small"]],
    ["where all of that happens", ALL_AT_ONCE, ["small", "alone", "twoFaults"]],
  ] as const) {
    it(what, async () => {
      for (const name of names) await endsAsTheCalmRun(name, { troubles: list(troubleOf) }, what);
    });
  }

  it("where the coordinator dies after every few writes", () => endsKilledAgainAndAgain(["small"]));

  it("where the machine loses its power again and again", () => endsWithoutPower(["small"]));

  it("where its state is in SQLite and in files", async (t) => {
    const folder = temporaryFolder();
    t.after(() => folder.remove());
    const deaths = every(60, 1000, { moment: "unheard", powerCut: false });
    const run = await endsAsTheCalmRun(
      "small",
      { deaths, disk: { folder: folder.path }, troubles: list(DOUBLED), anew: true },
      "in a folder",
    );
    assert.ok(run.deaths >= 3, `${run.deaths} deaths`);
  });
});

describe("the comparison sees", () => {
  const differs = async (cohort: "byOrder" | "byAttempt", adversity: Adversity): Promise<void> => {
    const before = await troubled("small", { cohort });
    const again = await troubled("small", { cohort });
    assert.equal(canonical(again.outcome), canonical(before.outcome), "the calm run itself must not change");
    const after = await troubled("small", { ...adversity, cohort });
    assert.notEqual(canonical(after.outcome), canonical(before.outcome));
  };

  it("a cohort whose results depend on the order of arrival", () => differs("byOrder", { troubles: list(REORDERED) }));
  it("a cohort whose results depend on the attempt", () => differs("byAttempt", { troubles: list(DROPPED) }));
  it("a state that is lost, where a task that is done again has another result", () =>
    differs("byAttempt", { disk: "forgetful", deaths: [{ write: 100, moment: "heard", powerCut: false }] }));
});
