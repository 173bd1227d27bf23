/** As run.faults.test.ts, with every kind of run. */
import { describe, it } from "node:test";
import {
  ALL_AT_ONCE,
  DELAYED,
  DOUBLED,
  DROPPED,
  endsKilledAgainAndAgain,
  endsWithoutPower,
  list,
  REORDERED,
} from "./adversity.js";
import { endsAsTheCalmRun } from "./calm.js";
import type { CaseName } from "./cases.js";

const FEW: readonly CaseName[] = ["small", "alone", "fedexp", "twoFaults"];

describe("a run ends as the calm one", () => {
  for (const [what, troubleOf, names] of [
    ["where clients answer in any order", REORDERED, FEW],
    ["where reports arrive twice", DOUBLED, FEW],
    ["where tasks and reports are lost", DROPPED, FEW],
    ["where clients take long", DELAYED, FEW],
    ["where all of that happens", ALL_AT_ONCE, [...FEW, "fedadam", "fedyogi", "everything"]],
  ] as const) {
    it(what, async () => {
      for (const name of names) await endsAsTheCalmRun(name, { troubles: list(troubleOf) }, what);
    });
  }

  it("where the coordinator dies after every few writes", () =>
    endsKilledAgainAndAgain(["alone", "fedadam", "twoFaults"]));

  it("where the machine loses its power again and again", () => endsWithoutPower(["fedyogi"]));
});
