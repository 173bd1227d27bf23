/** Whatever happens to the coordinator and to what clients send, in whatever order: the outcome is the calm run's. */
import fc from "fast-check";
import type { Trouble } from "../../support/cohort-session.js";
import type { Death } from "../../support/mortal-store.js";
import { calm, endsAsTheCalmRun } from "./calm.js";
import type { CaseName } from "./cases.js";

const trouble: fc.Arbitrary<Trouble> = fc
  .record({
    delayMs: fc.oneof(fc.nat(20), fc.nat(100_000)),
    lost: fc.constantFrom("nothing", "task", "report", "receipt"),
    againMs: fc.option(fc.oneof(fc.nat(20), fc.nat(10_000)), { nil: undefined }),
  })
  .map(({ againMs, ...rest }) => ({ ...rest, ...(againMs === undefined ? {} : { againMs }) }) as Trouble);

/** @param writes of the calm run */
const death = (writes: number): fc.Arbitrary<Death> =>
  fc.record({
    write: fc.integer({ min: 1, max: writes }),
    moment: fc.constantFrom("unheard", "heard"),
    powerCut: fc.boolean(),
  });

/** Tries so many adversities on a case. */
export async function endsAsTheCalmRunWhateverHappens(name: CaseName, numRuns: number): Promise<void> {
  const { writes, attempts } = await calm(name);
  const adversity = fc.record({
    deaths: fc.array(death(writes), { maxLength: 4 }),
    troubles: fc.array(trouble, { maxLength: attempts, size: "max" }),
  });
  await fc.assert(
    fc.asyncProperty(adversity, async (given) => void (await endsAsTheCalmRun(name, given))),
    // Each step of shrinking is another run, of up to a second.
    { numRuns, endOnFailure: numRuns < 3 },
  );
}
