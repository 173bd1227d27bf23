/** What runs live through in the tests of faults: troubles by attempt, and deaths of the coordinator. */
import assert from "node:assert/strict";
import { CALM, type Trouble } from "../../support/cohort-session.js";
import type { Death } from "../../support/mortal-store.js";
import { endsAsTheCalmRun } from "./calm.js";
import type { CaseName } from "./cases.js";

/** Clients answer in another order than they were asked, and each time in another. */
export const REORDERED = (attempt: number): Trouble => ({ ...CALM, delayMs: 1 + ((attempt * 7919) % 1009) });
export const DOUBLED = (attempt: number): Trouble => ({
  ...CALM,
  lost: attempt % 2 === 0 ? "receipt" : "nothing",
  ...(attempt % 3 === 0 ? {} : { againMs: (attempt * 37) % 200 }),
});
export const DROPPED = (attempt: number): Trouble => ({
  ...CALM,
  lost: (["report", "task", "nothing"] as const)[attempt % 3]!,
});
/** Longer than several heartbeats, short of the silence after which a client is given up. */
export const DELAYED = (attempt: number): Trouble => ({ ...CALM, delayMs: attempt % 5 === 0 ? 100_000 : 10 });
export const ALL_AT_ONCE = (attempt: number): Trouble => ({
  delayMs: REORDERED(attempt).delayMs,
  lost: DROPPED(attempt).lost,
  againMs: (attempt * 61) % 700,
});

/** Deaths, one process after the other, each some writes later in its life. */
export const every = (write: number, count: number, rest: Omit<Death, "write">): Death[] =>
  Array.from({ length: count }, (_, at) => ({ ...rest, write: write + (at % 5) }));

/** For more attempts than any run here has. */
export const list = (troubleOf: (attempt: number) => Trouble): Trouble[] =>
  Array.from({ length: 3000 }, (_, at) => troubleOf(at));

/** Holds each case against its calm run where the coordinator dies every few writes. */
export async function endsKilledAgainAndAgain(names: readonly CaseName[]): Promise<void> {
  for (const name of names) {
    const deaths = every(9, 1000, { moment: "unheard", powerCut: false });
    const run = await endsAsTheCalmRun(name, { deaths, troubles: list(REORDERED) }, "killed again and again");
    assert.ok(run.deaths > 10 && run.deaths < deaths.length, `${name}: ${run.deaths} deaths`);
  }
}

/** Holds each case against its calm run where the machine loses its power every few writes. */
export async function endsWithoutPower(names: readonly CaseName[]): Promise<void> {
  for (const name of names) {
    const deaths = every(40, 1000, { moment: "heard", powerCut: true });
    const run = await endsAsTheCalmRun(name, { deaths, troubles: list(ALL_AT_ONCE) }, "without power");
    assert.ok(run.deaths > 3 && run.deaths < deaths.length, `${name}: ${run.deaths} deaths`);
  }
}
