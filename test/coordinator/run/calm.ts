/** Runs of a test file, in one thread beside it, and the calm run of each case, made once. */
import assert from "node:assert/strict";
import { after } from "node:test";
import { SHARE_ENV, Worker } from "node:worker_threads";
import type { LivedRun } from "../../support/lives.js";
import { canonical } from "../../support/pinned-run.js";
import { CASES, type CaseName } from "./cases.js";
import type { Adversity, Answer, Request } from "./lives-worker.js";

const worker = new Worker(new URL("./lives-worker.js", import.meta.url), { env: SHARE_ENV });
const waiting = new Map<number, (answer: Answer) => void>();
let asked = 0;
worker.on("error", (error) => {
  for (const [id, answer] of waiting) answer({ id, error });
});
worker.on("message", (answer: Answer) => {
  waiting.get(answer.id)?.(answer);
  waiting.delete(answer.id);
});

async function ask(run?: Request["run"]): Promise<LivedRun | undefined> {
  const id = asked++;
  const answer = await new Promise<Answer>((resolve) => {
    waiting.set(id, resolve);
    worker.postMessage({ id, ...(run === undefined ? {} : { run }) } satisfies Request);
  });
  if ("error" in answer) throw answer.error;
  return answer.lived;
}

after(async () => {
  await ask();
  await worker.terminate();
});

export const troubled = async (name: CaseName, adversity: Adversity): Promise<LivedRun> =>
  (await ask({ given: CASES[name], adversity })) as LivedRun;

const calmRuns = new Map<CaseName, Promise<LivedRun>>();

export function calm(name: CaseName): Promise<LivedRun> {
  const run = calmRuns.get(name) ?? troubled(name, {});
  calmRuns.set(name, run);
  return run;
}

/** Runs a case in adversity and holds its outcome against the calm run's. */
export async function endsAsTheCalmRun(name: CaseName, adversity: Adversity, what = ""): Promise<LivedRun> {
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
