/** As run.property.test.ts, with every kind of run and more examples. */
import { it } from "node:test";
import { endsAsTheCalmRunWhateverHappens } from "./whatever-happens.js";

for (const [name, numRuns, what] of [
  ["small", 8, "with baselines"],
  ["alone", 5, "of one client"],
  ["fedexp", 4, "by FedExP, beside training all weights"],
  ["fedadam", 4, "by FedAdam, with both factors trained and a rate to be found"],
  ["fedyogi", 4, "by FedYogi, with a calibrated estimate"],
  ["int8", 4, "of updates in 8 bits, whose errors are carried over"],
  ["twoFaults", 3, "of clients that train badly"],
  ["faults", 1, "with a client of each fault"],
  ["everything", 1, "with all there is"],
] as const) {
  it(`a run ${what} ends as the calm one, whatever happens`, () => endsAsTheCalmRunWhateverHappens(name, numRuns));
}
