/**
 * Calm runs do what their plans say, and their outcomes are what they were. `golden.json` holds a SHA-256 of the canonical JSON of each calm run's `lastingNumbers`.
 * `node dist/test/coordinator/run/run.golden.test.js --write` writes it anew: only where a change of numbers is meant.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { describe, it } from "node:test";
import { asset } from "../../../shared/base/assets.js";
import { canonical, lastingNumbers } from "../../support/pinned-run.js";
import { calm } from "./calm.js";
import { CASES, type CaseName } from "./cases.js";

interface Golden {
  /** How the hashes were made. */
  readonly made: string;
  readonly sha256: Readonly<Record<string, string>>;
}

const FILE = asset("test", "coordinator", "run", "golden.json");
const NAMES = Object.keys(CASES) as CaseName[];

async function hashOf(name: CaseName): Promise<string> {
  const { outcome } = await calm(name);
  return createHash("sha256")
    .update(canonical(lastingNumbers(outcome)))
    .digest("hex");
}

if (process.argv.includes("--write")) {
  const sha256 = Object.fromEntries(await Promise.all(NAMES.map(async (name) => [name, await hashOf(name)] as const)));
  const made = `node dist/test/coordinator/run/run.golden.test.js --write, on Node ${process.versions.node}: SHA-256 of the outcome of each calm run of cases.ts, as canonical JSON, without what the estimate solves in float32, bytes on the wire and texts of faults`;
  writeFileSync(FILE, `${JSON.stringify({ made, sha256 } satisfies Golden, null, 2)}\n`);
}

const golden = JSON.parse(readFileSync(FILE, "utf8")) as Golden;
for (const name of NAMES) {
  it(`the outcome of the run "${name}" is what it was`, async () => {
    assert.equal(await hashOf(name), golden.sha256[name]);
  });
}

it("one number of an outcome changes its hash", async () => {
  const { outcome } = await calm("tiny");
  const { weights } = outcome as { weights: [string, number[]][] };
  const other = weights.map(([client, [first, ...rest]]) => [client, [first! + 1e-15, ...rest]]);
  const changed = { ...(outcome as object), weights: other } as unknown as typeof outcome;
  assert.notEqual(canonical(lastingNumbers(changed)), canonical(lastingNumbers(outcome)));
});

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
