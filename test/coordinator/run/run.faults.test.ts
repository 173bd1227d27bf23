/**
 * A run whose coordinator is killed, and whose results are delayed, doubled, dropped and reordered, ends as a calm one: byte for byte in
 * all but the time that it took.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CALM, type Trouble } from "../../support/cohort-session.js";
import { temporaryFolder } from "../../support/federation.js";
import type { Death } from "../../support/mortal-store.js";
import { canonical } from "../../support/pinned-run.js";
import { calm, endsAsTheCalmRun, troubled } from "./calm.js";
import { CASES, type CaseName } from "./cases.js";
import type { Adversity } from "./lives-worker.js";

const FEW: readonly CaseName[] = ["small", "alone", "fedexp", "twoFaults"];

/** Clients answer in another order than they were asked, and each time in another. */
const REORDERED = (attempt: number): Trouble => ({ ...CALM, delayMs: 1 + ((attempt * 7919) % 1009) });
const DOUBLED = (attempt: number): Trouble => ({
  ...CALM,
  lost: attempt % 2 === 0 ? "receipt" : "nothing",
  ...(attempt % 3 === 0 ? {} : { againMs: (attempt * 37) % 200 }),
});
const DROPPED = (attempt: number): Trouble => ({
  ...CALM,
  lost: (["report", "task", "nothing"] as const)[attempt % 3]!,
});
/** Longer than several heartbeats, short of the silence after which a client is given up. */
const DELAYED = (attempt: number): Trouble => ({ ...CALM, delayMs: attempt % 5 === 0 ? 100_000 : 10 });
const ALL_AT_ONCE = (attempt: number): Trouble => ({
  delayMs: REORDERED(attempt).delayMs,
  lost: DROPPED(attempt).lost,
  againMs: (attempt * 61) % 700,
});

const every = (write: number, count: number, rest: Omit<Death, "write">): Death[] =>
  Array.from({ length: count }, (_, at) => ({ ...rest, write: write + (at % 5) }));

/** For more attempts than any run here has. */
const list = (troubleOf: (attempt: number) => Trouble): Trouble[] =>
  Array.from({ length: 3000 }, (_, at) => troubleOf(at));

describe("a calm run", () => {
  it("does what its plan says", async () => {
    const { outcome } = await calm("everything");
    const { groups, members, methods, sweep, fullSweep, faults } = outcome as unknown as {
      groups: string[][];
      members: { name: string }[];
      methods: [string, unknown][];
      sweep: { trials: unknown[] };
      fullSweep: { trials: unknown[] };
      faults: unknown[];
    };
    assert.deepEqual(groups, [
      ["client-0", "client-2", "client-4"],
      ["client-1", "client-3", "client-5"],
    ]);
    assert.deepEqual(
      members.map(({ name }) => name),
      ["group-1", "group-2", "group-2-boost-1"],
    );
    assert.deepEqual(
      methods.map(([name]) => name),
      ["base", "shared", "local", "kindred", "full"],
    );
    for (const { trials } of [sweep, fullSweep]) assert.ok(trials.length >= 3);
    assert.deepEqual(faults, []);
  });

  it("notes every client that fails, and goes on with the others", async () => {
    const { outcome } = await calm("faults");
    const { faults, estimate, members } = outcome as unknown as {
      faults: { client: string }[];
      estimate: { clients: string[] };
      members: unknown[];
    };
    const faulty = CASES.faults.clients.filter(({ faults }) => faults !== undefined).map(({ name }) => name);
    assert.deepEqual([...new Set(faults.map(({ client }) => client))].sort(), faulty.sort());
    // Who gives no choices or no sketches is in no group.
    assert.equal(estimate.clients.length, CASES.faults.clients.length - 4);
    assert.ok(members.length >= 2);
  });
});

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

  it("where the coordinator dies after every few writes", async () => {
    for (const name of ["small", "alone", "fedadam", "twoFaults"] as const) {
      const deaths = every(9, 1000, { moment: "unheard", powerCut: false });
      const run = await endsAsTheCalmRun(name, { deaths, troubles: list(REORDERED) }, "killed again and again");
      assert.ok(run.deaths > 10 && run.deaths < deaths.length, `${name}: ${run.deaths} deaths`);
    }
  });

  it("where the machine loses its power again and again", async () => {
    for (const name of ["small", "fedyogi"] as const) {
      const deaths = every(40, 1000, { moment: "heard", powerCut: true });
      const run = await endsAsTheCalmRun(name, { deaths, troubles: list(ALL_AT_ONCE) }, "without power");
      assert.ok(run.deaths > 3 && run.deaths < deaths.length, `${name}: ${run.deaths} deaths`);
    }
  });

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
