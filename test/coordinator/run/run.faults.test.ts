/**
 * A run whose coordinator is killed, and whose results are delayed, doubled, dropped and reordered, ends as a calm one: byte for byte in
 * all but the time that it took.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { openState } from "../../../coordinator/storage/open.js";
import type { State } from "../../../coordinator/storage/types.js";
import { encodeSafetensors, parseSafetensors } from "../../../shared/adapters/safetensors.js";
import { type Cohort, cohort } from "../../support/cohort.js";
import { CALM, type Trouble } from "../../support/cohort-session.js";
import { temporaryFolder } from "../../support/federation.js";
import type { Adversity, Disk } from "../../support/lives.js";
import { MemoryStore } from "../../support/memory-store.js";
import type { Death } from "../../support/mortal-store.js";
import { canonical } from "../../support/pinned-run.js";
import { calm, endsAsTheCalmRun, troubled } from "./calm.js";
import { CASES, type CaseName } from "./cases.js";

const NAMES = Object.keys(CASES) as CaseName[];
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

/** As a coordinator has it: in a folder, closed and opened again. */
function folderDisk(path: string): Disk & { close(): Promise<void> } {
  let state: State | undefined;
  return {
    async open() {
      await state?.close();
      state = await openState(path);
      return state;
    },
    powerCut: () => assert.fail("a test cannot cut the power of this machine"),
    close: async () => state?.close(),
  };
}

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
    ["where all of that happens", ALL_AT_ONCE, NAMES],
  ] as const) {
    it(what, async () => {
      for (const name of names) await endsAsTheCalmRun(name, { troubleOf }, what);
    });
  }

  it("where the coordinator dies after every few writes", async () => {
    for (const name of ["small", "alone", "fedadam", "twoFaults"] as const) {
      const deaths = every(9, 1000, { moment: "unheard", powerCut: false });
      const run = await endsAsTheCalmRun(name, { deaths, troubleOf: REORDERED }, "killed again and again");
      assert.ok(run.deaths > 10 && run.deaths < deaths.length, `${name}: ${run.deaths} deaths`);
    }
  });

  it("where the machine loses its power again and again", async () => {
    for (const name of ["small", "fedyogi"] as const) {
      const deaths = every(40, 1000, { moment: "heard", powerCut: true });
      const run = await endsAsTheCalmRun(name, { deaths, troubleOf: ALL_AT_ONCE }, "without power");
      assert.ok(run.deaths > 3 && run.deaths < deaths.length, `${name}: ${run.deaths} deaths`);
    }
  });

  it("where its state is in SQLite and in files", async (t) => {
    const folder = temporaryFolder();
    const disk = folderDisk(folder.path);
    t.after(async () => {
      await disk.close();
      folder.remove();
    });
    const deaths = every(60, 1000, { moment: "unheard", powerCut: false });
    const run = await endsAsTheCalmRun("small", { deaths, disk, troubleOf: DOUBLED, anew: true }, "in a folder");
    assert.ok(run.deaths >= 3, `${run.deaths} deaths`);
  });
});

describe("the comparison sees", () => {
  /** A cohort that moves the first number of what it trains by a little. */
  const shifted =
    (by: (client: string, key: string) => number): Cohort =>
    async (client, task, download) => {
      const result = await cohort(client, task, download);
      if (result.kind !== "trainAdapter") return result;
      const tensors = new Map(parseSafetensors(result.values, { source: "values" }).tensors);
      const [name, { shape, data }] = [...tensors].at(-1)!;
      tensors.set(name, { shape, data: data.with(0, data[0]! + 1e-4 * by(client.name, JSON.stringify(task))) });
      return { ...result, values: encodeSafetensors(tensors) };
    };
  const differs = async (cohortOf: () => Cohort, adversity: Adversity) => {
    const before = await troubled("small", { cohort: cohortOf() });
    const again = await troubled("small", { cohort: cohortOf() });
    assert.equal(canonical(again.outcome), canonical(before.outcome), "the calm run itself must not change");
    const after = await troubled("small", { ...adversity, cohort: cohortOf() });
    assert.notEqual(canonical(after.outcome), canonical(before.outcome));
  };

  const byOrder = (): Cohort => {
    let arrivals = 0;
    return shifted(() => arrivals++ % 3);
  };
  const byAttempt = (): Cohort => {
    const attempts = new Map<string, number>();
    return shifted((client, task) => {
      const at = attempts.get(client + task) ?? 0;
      attempts.set(client + task, at + 1);
      return at;
    });
  };

  it("a cohort whose results depend on the order of arrival", () => differs(byOrder, { troubleOf: REORDERED }));
  it("a cohort whose results depend on the attempt", () => differs(byAttempt, { troubleOf: DROPPED }));
  it("a state that is lost, where a task that is done again has another result", () => {
    const disk: Disk = { open: async () => new MemoryStore(), powerCut: () => undefined };
    return differs(byAttempt, { disk, deaths: [{ write: 100, moment: "heard", powerCut: false }] });
  });
});
