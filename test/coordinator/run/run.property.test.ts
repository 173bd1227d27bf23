import { it } from "node:test";
import { endsAsTheCalmRunWhateverHappens } from "./whatever-happens.js";

// The long test has every kind of run, and more examples.
for (const [name, numRuns, what] of [
  ["small", 4, "with baselines"],
  ["alone", 2, "of one client"],
  ["int8", 2, "of updates in 8 bits, whose errors are carried over"],
  ["twoFaults", 1, "of clients that train badly"],
] as const) {
  it(`a run ${what} ends as the calm one, whatever happens`, () => endsAsTheCalmRunWhateverHappens(name, numRuns));
}
