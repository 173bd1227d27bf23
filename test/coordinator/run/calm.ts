/** One runtime for a file's runs, and the calm run of each case, made once. */
import assert from "node:assert/strict";
import { after } from "node:test";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";
import { type Adversity, type LivedRun, live } from "../../support/lives.js";
import { canonical } from "../../support/pinned-run.js";
import { remembering } from "../../support/remembering-runtime.js";
import { CASES, type CaseName } from "./cases.js";

// One thread: sums of float32 are then in one order.
const solving = new OnnxRuntime({ threads: 1 });
const runtime = remembering(solving);
after(() => runtime.close());

const calmRuns = new Map<CaseName, Promise<LivedRun>>();

export function calm(name: CaseName): Promise<LivedRun> {
  const run = calmRuns.get(name) ?? live(CASES[name], runtime);
  calmRuns.set(name, run);
  return run;
}

export interface Troubles extends Adversity {
  /** Computes each estimate anew, instead of remembering what equal ones gave. */
  readonly anew?: boolean;
}

export const troubled = (name: CaseName, { anew = false, ...adversity }: Troubles): Promise<LivedRun> =>
  live(CASES[name], anew ? solving : runtime, adversity);

/** Runs a case in adversity and holds its outcome against the calm run's. */
export async function endsAsTheCalmRun(name: CaseName, adversity: Troubles, what = ""): Promise<LivedRun> {
  const [expected, run] = [await calm(name), await troubled(name, adversity)];
  if (canonical(run.outcome) !== canonical(expected.outcome)) {
    assert.deepEqual(run.outcome, expected.outcome, `${name} ${what}`);
    assert.fail(`${name} ${what}: the outcomes differ in the order of their parts`);
  }
  return run;
}

/** Does all of the work, at most `width` pieces at a time. */
export async function eachOf(count: number, width: number, work: (at: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: width }, worker));
}
